import type { Database } from '../database/connect.ts'
import type { JobOperation, JobRow } from '../job/states.ts'
import { type NewNotification, type NotificationKind, recordNotification } from '../notification/record.ts'

interface Telling {
  /** What the job does, as the subject of a sentence. */
  work: string
  /** Null: its success is told by what it did, or not at all. */
  completed: NotificationKind | null
  /** Null: who asked for it follows its job, and nothing is lost by it. */
  failed: NotificationKind | null
}

const tellings: Readonly<Record<JobOperation, Telling>> = {
  BACKUP: { work: 'The backup', completed: 'BACKUP_COMPLETED', failed: 'BACKUP_FAILED' },
  RESTORE: { work: 'The restore', completed: 'RESTORE_COMPLETED', failed: 'RESTORE_FAILED' },
  CONFIGURE_PROTECTION: { work: 'The configuration', completed: null, failed: 'CONFIGURE_PROTECTION_FAILED' },
  VERIFY: { work: 'The verification of a recovery point', completed: null, failed: 'VERIFICATION_FAILED' },
  EXPIRE: { work: 'The removal of expired recovery points', completed: null, failed: 'MAINTENANCE_FAILED' },
  PURGE: { work: 'The purge', completed: null, failed: 'MAINTENANCE_FAILED' },
  VALIDATE_RESTORE: { work: 'The validation of a restore', completed: null, failed: null },
  COPY: { work: 'The second copy of a recovery point', completed: null, failed: 'COPY_FAILED' },
  IMPORT_VAULT: { work: 'The import of a vault', completed: null, failed: 'MAINTENANCE_FAILED' },
  ROTATE_KEY: { work: "The rotation of a vault's key", completed: null, failed: 'MAINTENANCE_FAILED' },
  BACK_UP_METADATA: { work: "The backup of Holdfast's metadata", completed: null, failed: 'METADATA_BACKUP_FAILED' },
}

/** Tells operators how a job ended, in the transaction that ends it. Who cancelled one knows already. */
export async function tellOfEnd(tx: Database, job: JobRow, now: Date): Promise<void> {
  const told = whatToTell(job)
  if (!told) return
  await recordNotification(tx, {
    ...told,
    about: { instanceId: job.instanceId, vaultId: job.vaultId, jobId: job.id, name: job.instanceName },
    ...onceADay(job, now),
    now,
  })
}

/** A vault that is not there fails every copy into it and every expiry there, again and again: that is told once a day for each reason. */
function onceADay({ operation, vaultId, instanceId, error }: JobRow, now: Date): { onceKey?: string } {
  if (!error || error.code === 'ARTIFACT_DAMAGED') return {}
  const day = now.toISOString().slice(0, 10)
  if (operation === 'COPY') return { onceKey: `copy-failed:${vaultId}:${error.code}:${day}` }
  if (operation !== 'EXPIRE') return {}
  const place = error.code.startsWith('STORAGE_') ? vaultId : instanceId
  return { onceKey: `maintenance-failed:${place}:${error.code}:${day}` }
}

function whatToTell(
  job: JobRow,
): Pick<NewNotification, 'kind' | 'severity' | 'message' | 'recommendedActions'> | undefined {
  const { work, completed, failed } = tellings[job.operation]
  // A validation: who asked for it follows its job, and nothing is protected by it.
  if (job.operation === 'CONFIGURE_PROTECTION' && job.instanceId === null) return undefined
  const subject = job.instanceName === null ? work : `${work} of "${job.instanceName}"`
  if (job.status === 'FAILED' && job.error && failed !== null) {
    const { code, message, recommendedActions } = job.error
    return { kind: failed, severity: 'ERROR', message: `${subject} failed (${code}): ${message}`, recommendedActions }
  }
  if (completed === null) return undefined
  if (job.status === 'COMPLETED') {
    return { kind: completed, severity: 'INFO', message: `${subject} was completed.` }
  }
  if (job.status !== 'COMPLETED_WITH_WARNINGS') return undefined
  const [first = '', ...others] = job.warnings
  const more = ['', ' There is 1 more warning.'][others.length] ?? ` There are ${others.length} more warnings.`
  return {
    kind: completed,
    severity: 'WARNING',
    message: `${subject} was completed with a warning: ${first}${more}`,
    recommendedActions: ["Read the job's warnings."],
  }
}
