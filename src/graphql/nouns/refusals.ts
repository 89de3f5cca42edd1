import { BackupAlreadyRunning } from '../../instance/back-up-now.ts'
import { JobAlreadyEnded, JobNotCancellable } from '../../instance/cancel-job.ts'
import { AlreadyProtected } from '../../instance/configure-protection.ts'
import { OperationNotAllowed } from '../../instance/states.ts'
import { MailNotConfigured } from '../../notification/channel/create.ts'
import { VerificationAlreadyRunning } from '../../recovery-point/verify.ts'
import { RecoveryPointSuspect, RestoreAlreadyRunning } from '../../restore/refuse.ts'
import { ServerInUse } from '../../server/remove.ts'
import { ServerWithoutCredentials } from '../../server/server.ts'
import { LocationTakenByStorageAccount, StorageBeingRestoredInto } from '../../storage-account/storage-account.ts'
import { RecoveryKeyAlreadyExported } from '../../vault/export-recovery-key.ts'
import { ForbiddenByImmutability, LocationTaken } from '../../vault/vault.ts'
import { refusalType } from '../schema/refusals.ts'
import { BackupInstance, Job, PostgresServer, RecoveryPoint, StorageAccount, Vault } from './declared.ts'
import { InstanceOperation, ProtectionState } from './enums.ts'

refusalType(LocationTaken, 'A vault keeps its recovery points there, around it or within it.', (t) => ({
  vault: t.field({ type: Vault, description: 'The vault that is there.', resolve: (refusal) => refusal.vaultId }),
}))

refusalType(
  LocationTakenByStorageAccount,
  'A storage account is there, around it or within it: what restores write lies in no vault and in no other account.',
  (t) => ({
    storageAccount: t.field({
      type: StorageAccount,
      description: 'The storage account that is there.',
      resolve: (refusal) => refusal.storageAccountId,
    }),
  }),
)

refusalType(
  StorageBeingRestoredInto,
  'A restore into the storage account or container is queued or running, and it needs what was to be deleted.',
  (t) => ({
    runningJob: t.field({ type: Job, description: 'That restore.', resolve: (refusal) => refusal.runningJobId }),
  }),
)

refusalType(
  RecoveryKeyAlreadyExported,
  "The vault's recovery key was handed out before; it is shown only once.",
  (t) => ({
    exportedAt: t.expose('exportedAt', { type: 'DateTime', description: 'When it was handed out.' }),
  }),
)

refusalType(ServerInUse, 'Backup instances protect the server, and they need its registration.', (t) => ({
  instanceNames: t.exposeStringList('instanceNames', {
    description: 'The names of the backup instances that protect it.',
  }),
}))

refusalType(
  ServerWithoutCredentials,
  'It is not known how to sign in to the server: it was imported with a vault, which holds no credentials.',
  (t) => ({
    server: t.field({ type: PostgresServer, description: 'The server.', resolve: (refusal) => refusal.serverId }),
  }),
)

refusalType(AlreadyProtected, 'The server is protected in that vault already.', (t) => ({
  backupInstance: t.field({
    type: BackupInstance,
    description: 'The backup instance that protects it there.',
    resolve: (refusal) => refusal.instanceId,
  }),
}))

refusalType(OperationNotAllowed, "The backup instance's present state does not allow the operation.", (t) => ({
  currentState: t.expose('currentState', { type: ProtectionState, description: 'The state that it is in.' }),
  allowedOperations: t.expose('allowedOperations', {
    type: [InstanceOperation],
    description: 'What can be done to it in that state.',
  }),
}))

refusalType(BackupAlreadyRunning, 'A backup of the instance is queued or running; there is at most one.', (t) => ({
  runningJob: t.field({ type: Job, description: 'That backup.', resolve: (refusal) => refusal.runningJobId }),
}))

refusalType(VerificationAlreadyRunning, 'A verification of the recovery point is queued or running.', (t) => ({
  runningJob: t.field({ type: Job, description: 'That verification.', resolve: (refusal) => refusal.runningJobId }),
}))

refusalType(RestoreAlreadyRunning, 'A restore to the same destination is queued or running.', (t) => ({
  runningJob: t.field({ type: Job, description: 'That restore.', resolve: (refusal) => refusal.runningJobId }),
}))

refusalType(RecoveryPointSuspect, 'Damage was found in the recovery point: nothing is restored from it.', (t) => ({
  damage: t.stringList({
    description: 'What was found, one sentence for each damaged artifact.',
    resolve: (refusal) => [...refusal.damage],
  }),
  availableCopy: t.field({
    type: RecoveryPoint,
    nullable: true,
    description:
      'A recovery point that holds the same in another vault and can be restored from: a second copy, or the original of one; null when there is none.',
    resolve: (refusal) => refusal.twinId,
  }),
}))

refusalType(JobAlreadyEnded, 'The job has ended; there is nothing left to cancel.', (t) => ({
  job: t.field({ type: Job, description: 'The job as it ended.', resolve: (refusal) => refusal.jobId }),
}))

refusalType(JobNotCancellable, 'The job must come to its own end, because something waits for its answer.', (t) => ({
  job: t.field({ type: Job, description: 'The job as it is now.', resolve: (refusal) => refusal.jobId }),
}))

refusalType(
  ForbiddenByImmutability,
  'The vault is immutable, which forbids every way to remove recovery points early.',
  (t) => ({
    vault: t.field({ type: Vault, description: 'The immutable vault.', resolve: (refusal) => refusal.vaultId }),
    rule: t.exposeString('rule', { description: 'What exactly is forbidden, as a sentence.' }),
  }),
)

refusalType(MailNotConfigured, 'The service was started without a mail server, so that no mail can be sent.')
