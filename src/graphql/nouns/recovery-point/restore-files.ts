import { OperationNotAllowed } from '../../../instance/states.ts'
import { RecoveryPointBeingRemoved } from '../../../recovery-point/recovery-point.ts'
import { InvalidInput, NotFound } from '../../../refusal.ts'
import { restoreAsFiles } from '../../../restore/as-files.ts'
import { RecoveryPointSuspect, RestoreAlreadyRunning } from '../../../restore/refuse.ts'
import type { FilesTarget } from '../../../restore/restore.ts'
import { ForbiddenByNetworkRules } from '../../../storage-account/network-rules.ts'
import { LocationTakenByStorageAccount } from '../../../storage-account/storage-account.ts'
import { LocationTaken } from '../../../vault/vault.ts'
import { builder } from '../../schema/builder.ts'
import { mutation } from '../../schema/mutation.ts'
import { idOf, Job } from '../declared.ts'
import { ArchiveFormat } from '../enums.ts'
import { asked } from '../fields.ts'
import { partOf, RestorePartInput } from './restore-part.ts'

const RestoreContainerTarget = builder.inputType('RestoreContainerTargetInput', {
  description: 'A folder of a container of a storage account.',
  fields: (t) => ({
    id: t.globalID({ required: true, description: 'The id of the container.' }),
    folder: t.string({
      required: true,
      description:
        'A folder in it that is empty or not there yet, such as "orders/2026-11-28": names of letters, digits, ".", "_" and "-".',
    }),
  }),
})

/** The place of a restore as files, as its operator says it. */
export const RestoreFilesTarget = builder.inputType('RestoreFilesTargetInput', {
  description: 'Where the files of a restore go; exactly one kind of place.',
  isOneOf: true,
  fields: (t) => ({
    directory: t.string({
      description:
        "An absolute path on the worker's machine: a directory that is empty or not there yet, in no vault and no storage account.",
    }),
    container: t.field({
      type: RestoreContainerTarget,
      description: 'A container whose storage account lets the vault of the recovery point write into it.',
    }),
  }),
})

/** Exactly one kind is given; the schema sees to it. */
export function filesTargetOf({ directory, container }: typeof RestoreFilesTarget.$inferInput): FilesTarget {
  if (!container) return { kind: 'DIRECTORY', path: directory ?? '' }
  const containerId = idOf('StorageContainer', container.id)
  return { kind: 'CONTAINER', containerId, folder: container.folder }
}

mutation('restoreAsFiles', {
  description:
    'Starts a job that writes databases of a recovery point as archives or as SQL, with roles, manifest and instructions; the directory or folder gets all of it or nothing.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point.' }),
    target: t.field({ type: RestoreFilesTarget, required: true, description: 'Where the files go.' }),
    format: t.field({
      type: ArchiveFormat,
      required: true,
      defaultValue: 'CUSTOM',
      description: 'The form of the files.',
    }),
    databases: t.stringList({
      description: 'The names of the databases to restore; all when left out, or that of the part.',
    }),
    part: t.field({
      type: RestorePartInput,
      description: 'What of one database to restore, in the format PLAIN alone; the databases whole when left out.',
    }),
  }),
  payload: { job: { type: Job, description: 'The job that restores.' } },
  refusals: [
    NotFound,
    InvalidInput,
    ForbiddenByNetworkRules,
    LocationTaken,
    LocationTakenByStorageAccount,
    OperationNotAllowed,
    RecoveryPointBeingRemoved,
    RecoveryPointSuspect,
    RestoreAlreadyRunning,
  ],
  resolve: async ({ recoveryPoint, target, format, databases, part }, context) => ({
    job: await restoreAsFiles(context.database, {
      recoveryPointId: idOf('RecoveryPoint', recoveryPoint),
      target: filesTargetOf(target),
      format,
      databases: databases ?? null,
      part: partOf(part),
      ...asked(context),
    }),
  }),
})
