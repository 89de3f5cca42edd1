import { type FailureCode as Code, failures } from '../../../failure.ts'
import type {
  JobEventType as EventType,
  JobOperation as Operation,
  JobStatus as Status,
  SubTaskStatus as TaskStatus,
  JobTrigger as Trigger,
} from '../../../job/states.ts'
import { enumeration } from '../../schema/enumeration.ts'

export const JobOperation = enumeration<Operation>('JobOperation', 'What kind of work a job does.', {
  BACKUP: 'Backs a server up into one new recovery point.',
  RESTORE: 'Gives a recovery point back, as files or into a server.',
  CONFIGURE_PROTECTION:
    'Checks a server and a vault before protection begins, or for validateForBackup: then without a backup instance.',
  VERIFY:
    'Shows how good a recovery point is, as far as its level says: reads every artifact again, decodes it, or restores it.',
  EXPIRE: 'Removes recovery points whose time is over.',
  PURGE: 'Removes a deleted backup instance with its recovery points.',
  VALIDATE_RESTORE: 'Looks for everything that would make a restore fail, and writes nothing that stays.',
  COPY: 'Copies a recovery point into the vault that keeps the second copies.',
  IMPORT_VAULT: 'Makes what a vault holds known again, from the vault and its recovery key alone.',
  ROTATE_KEY: 'Lets what a vault holds be opened by its new key.',
  BACK_UP_METADATA: "Writes Holdfast's own metadata into a vault.",
})

export type Category = 'BACKUP' | 'RESTORE' | 'MANAGEMENT'

export const JobCategory = enumeration<Category>('JobCategory', 'The family that a kind of work belongs to.', {
  BACKUP: 'Jobs that make recovery points.',
  RESTORE: 'Jobs that give recovery points back, or say whether they could.',
  MANAGEMENT: 'All other jobs: configuring, verifying, copying, expiring, purging, looking after vaults.',
})

/** The family of each kind of work. */
export const categoryOf: Readonly<Record<Operation, Category>> = {
  BACKUP: 'BACKUP',
  RESTORE: 'RESTORE',
  CONFIGURE_PROTECTION: 'MANAGEMENT',
  VERIFY: 'MANAGEMENT',
  EXPIRE: 'MANAGEMENT',
  PURGE: 'MANAGEMENT',
  VALIDATE_RESTORE: 'RESTORE',
  COPY: 'MANAGEMENT',
  IMPORT_VAULT: 'MANAGEMENT',
  ROTATE_KEY: 'MANAGEMENT',
  BACK_UP_METADATA: 'MANAGEMENT',
}

export const JobStatus = enumeration<Status>('JobStatus', 'Where a job stands in its life.', {
  QUEUED: 'It waits for a worker, for the first time or for another attempt.',
  IN_PROGRESS: 'A worker performs it.',
  CANCELLING: 'It was asked to stop, and what it has begun is being undone.',
  COMPLETED: 'It did all that was asked.',
  COMPLETED_WITH_WARNINGS: 'It did what was asked, and its warnings say what deserves a look.',
  FAILED: 'It did not do what was asked; its error says why and what to do.',
  CANCELLED:
    'It was stopped on request. What it had begun was undone; what is done at once stays: roles that a restore created, and recovery points that an expiry or a purge had removed.',
})

export const JobTrigger = enumeration<Trigger>('JobTrigger', 'What started a job.', {
  USER: 'Somebody asked for it through the API.',
  SCHEDULE: "A policy's schedule was due.",
  SYSTEM: 'Holdfast itself saw the need.',
})

export const JobAction = enumeration<'CANCEL'>('JobAction', 'Something that can be done to a job.', {
  CANCEL: 'It can be cancelled, by cancelJob.',
})

export const SubTaskStatus = enumeration<TaskStatus>('SubTaskStatus', 'Where a part of a job stands.', {
  NOT_STARTED: 'Its turn has not come yet.',
  IN_PROGRESS: 'It is being done.',
  COMPLETED: 'It is done.',
  FAILED: 'It could not be done.',
  CANCELLED: 'It was stopped together with its job.',
})

export const JobEventType = enumeration<EventType>('JobEventType', 'What happened to a job.', {
  QUEUED: 'It was created and waits for a worker.',
  STARTED: 'A worker began an attempt.',
  PROGRESSED: 'Bytes or rows were moved; sent at most once a second.',
  SUB_TASK_CHANGED: 'One of its parts began or ended.',
  WARNED: 'It met something that deserves a look.',
  NOTED: 'It learnt a fact worth showing, such as which tools it uses.',
  CANCEL_REQUESTED: 'Somebody asked for it to stop.',
  RETRY_SCHEDULED: 'An attempt ended without success, and another one follows.',
  RESCUED: 'Its worker was lost, and it went back into the queue.',
  HANDED_BACK: 'Its worker is shutting down, and it went back into the queue without costing an attempt.',
  ENDED: 'It ended; the status says how.',
})

const codes = Object.entries(failures).map(([code, { message }]) => [code, message])

export const FailureCode = enumeration<Code>(
  'FailureCode',
  'Why a job failed: the one table of failures.',
  // The entries of the table, whose keys are the codes.
  Object.fromEntries(codes) as Record<Code, string>,
)
