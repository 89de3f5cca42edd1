import type { BackupInstance, ProtectionState as State } from '../../instance/instance.ts'
import type { InstanceOperation as Operation } from '../../instance/states.ts'
import type { StopReason as Reason } from '../../instance/stop-protection.ts'
import type { RecoveryPointProof } from '../../recovery-point/proof.ts'
import type { VerifyLevel as Level, RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import type { ArchiveFormat as Format } from '../../restore/restore.ts'
import type { KeptBecause as ReasonToKeep } from '../../retention/decide-expiry.ts'
import type { PostgresServer } from '../../server/server.ts'
import type { Vault } from '../../vault/vault.ts'
import { enumeration } from '../schema/enumeration.ts'

export const StorageKind = enumeration<Vault['kind']>(
  'StorageKind',
  'What kind of place a vault or storage account is in.',
  {
    DIRECTORY: 'A directory on the machine that runs the worker.',
    S3: 'A bucket of a store that speaks S3, or a folder in it.',
  },
)

export const TlsMode = enumeration<PostgresServer['tlsMode']>(
  'TlsMode',
  'How a connection to a PostgreSQL server is secured; nothing ever falls back to a weaker mode.',
  {
    DISABLE: 'No encryption: only for a network that is trusted.',
    REQUIRE: 'Encrypted, but whoever answers is believed to be the server.',
    VERIFY_CA: "Encrypted, and the server's certificate must be signed by a trusted authority.",
    VERIFY_FULL: 'As VERIFY_CA, and the certificate must be issued for the host that is connected to.',
  },
)

export const ProtectionState = enumeration<State>('ProtectionState', 'Where a backup instance stands in its life.', {
  CONFIGURING_PROTECTION: 'A configuration job is checking the server and the vault.',
  CONFIGURING_PROTECTION_FAILED: "The checks failed; the configuration job's error says what to do.",
  PROTECTION_CONFIGURED: 'The server is protected: backups can be made and recovery points expire on their dates.',
  PROTECTION_STOPPED: 'No backups are made, and every recovery point is kept for ever.',
  BACKUP_SCHEDULES_SUSPENDED: 'No backups are scheduled, and recovery points expire on their own dates.',
  SOFT_DELETED:
    'Deleted, but recoverable until its data is purged; nothing is backed up, restored or expired meanwhile.',
})

export const InstanceOperation = enumeration<Operation>(
  'InstanceOperation',
  'Something that can be done to a backup instance, named after the mutation that does it.',
  {
    RETRY_CONFIGURE_PROTECTION: 'The server and the vault can be checked again, by retryConfigureProtection.',
    CHANGE_POLICY: 'Another policy can be followed for new recovery points, by changePolicy.',
    BACK_UP_NOW: 'A backup on demand can be started, by backUpNow.',
    STOP_PROTECTION_RETAIN_FOREVER: 'Backups can be stopped and all data kept, by stopProtection.',
    STOP_PROTECTION_RETAIN_AS_PER_POLICY:
      'Backups can be stopped while recovery points go on expiring, by stopProtection.',
    RESUME_PROTECTION: 'Backups can start again, by resumeProtection.',
    DELETE_BACKUP_INSTANCE: 'It can be deleted with its data, by deleteBackupInstance or stopProtection.',
    UNDELETE_BACKUP_INSTANCE: 'It can be had back with its data, by undeleteBackupInstance.',
    RESTORE: 'Its recovery points can be restored from, by restoreAsFiles and restoreToServer.',
    VERIFY_RECOVERY_POINT: 'Its recovery points can be verified, by verifyRecoveryPoint.',
    SET_PROOF_ASSERTIONS: 'What is asked of its restored copies can be set, by setProofAssertions.',
    HOLD_RECOVERY_POINT: 'Its recovery points can be put on hold, by holdRecoveryPoint.',
    RELEASE_RECOVERY_POINT: 'Holds on its recovery points can be ended, by releaseRecoveryPoint.',
    ACKNOWLEDGE_CONTENT_ANOMALY:
      'It can be said of recovery points that hold much less than those before that this is as it should be, by acknowledgeContentAnomaly.',
    APPROVE_EXPIRY: 'An expiry run that stopped because it would remove too much can be let go on, by approveExpiry.',
  },
)

export const HealthStatus = enumeration<BackupInstance['health']>(
  'HealthStatus',
  'How the last backups of a backup instance went, apart from the state that it is in.',
  {
    HEALTHY: 'The last backup succeeded, or none has been made yet.',
    DEGRADED: 'The last backup failed for a reason that you can cure: rights, password, network, space.',
    UNHEALTHY: 'The last backup failed for a reason that lies with Holdfast.',
  },
)

export const Immutability = enumeration<Vault['immutability']>(
  'Immutability',
  'Whether the ways to remove recovery points of a vault before their time are shut.',
  {
    DISABLED: 'Backup instances can be deleted with their data, and retention can be shortened.',
    UNLOCKED:
      'Nothing that removes recovery points before their time is allowed; the rule itself can still be taken back.',
    LOCKED: 'As UNLOCKED, and the rule can never be taken back: what protects data can only be made stronger.',
  },
)

export const StopReason = enumeration<Reason>(
  'StopReason',
  'Why protection was stopped, or a backup instance deleted.',
  {
    DECOMMISSIONED: 'The server is taken out of service.',
    COST: 'Keeping the backups is too dear.',
    MIGRATED: 'The data lives elsewhere now.',
    TESTING: 'It was set up to try something.',
    OTHER: 'None of the other reasons.',
  },
)

export const RetentionTag = enumeration<RecoveryPoint['tag']>(
  'RetentionTag',
  'The rule of the policy that decided how long a recovery point is kept.',
  {
    DEFAULT: 'Kept for the default duration of the policy.',
    DAILY: 'Kept as the first successful backup of its day.',
    WEEKLY: 'Kept as the first successful backup of its week.',
    MONTHLY: 'Kept as the first successful backup of its month.',
    YEARLY: 'Kept as the first successful backup of its year.',
  },
)

export const ProofLevel = enumeration<RecoveryPoint['proof']>(
  'ProofLevel',
  'How far a recovery point has been shown to be good; each level holds all before it.',
  {
    WRITTEN: 'The vault took the bytes.',
    READ_BACK: 'The bytes were read again from the vault, and they are what was written.',
    DECODED: 'Every archive was opened and decoded from its first to its last byte.',
    RESTORED:
      'All of it was restored into a scratch server, where rows were counted, indexes checked and assertions asked.',
  },
)

export const VerifyLevel = enumeration<Level>(
  'VerifyLevel',
  'How far a verification goes; each level does what the one before it does, and more.',
  {
    READ_BACK: 'Every stored byte is read again from the vault and compared with its digest.',
    DECODED: 'Every archive is opened and decoded from its first to its last byte.',
    RESTORED:
      'Every database is restored into a scratch server of the worker: rows are counted and compared, indexes checked and assertions asked there.',
  },
)

export const ProofOutcome = enumeration<RecoveryPointProof['outcome']>(
  'ProofOutcome',
  'What came of a look at a recovery point.',
  {
    PROVEN: 'It was found good.',
    FAILED: 'It was found not to be good: the findings say why.',
  },
)

export const RecoveryPointState = enumeration<RecoveryPoint['state']>(
  'RecoveryPointState',
  'Whether a recovery point may be restored from.',
  {
    AVAILABLE: 'Nothing is known against it.',
    SUSPECT: 'Damage was found: it is kept, but not restored from until a verification finds it whole again.',
    REMOVING: 'Its time is over: it is about to be removed, and not restored from.',
  },
)

export const KeptBecause = enumeration<ReasonToKeep>('KeptBecause', 'Why a recovery point stays.', {
  WITHIN_RETENTION: 'Its time is not over.',
  NEWEST_RESTORABLE: 'It is the newest one that can be restored from: that one is never removed for its age.',
  BEST_PROVEN:
    'It is the newest of those that have been shown to be good furthest: that one is never removed for its age.',
  NOTHING_RESTORABLE:
    'No recovery point of its backup instance is known to be restorable now: until one is, none is removed for its age.',
  ON_HOLD: 'Somebody has put it on hold.',
  BEING_READ: 'A restore, the validation of one, a verification or a copy of it is queued or running.',
  PROTECTION_STOPPED: 'Protection was stopped so that all data is kept for ever.',
  SOFT_DELETED: 'Its backup instance was deleted and can be had back: nothing expires meanwhile.',
  CONTENT_ANOMALY:
    'A recovery point of its backup instance holds much less than those before it: until acknowledgeContentAnomaly none is removed for its age.',
  AWAITING_APPROVAL: 'Too many would go at once: they wait for approveExpiry.',
})

export const RestoreOwnership = enumeration<'KEEP' | 'TO_ROLE' | 'NONE'>(
  'RestoreOwnership',
  'Who owns what is restored into a server.',
  {
    KEEP: 'The same roles as at the source, with the same grants; those that are needed and that the server lacks are created without passwords, SUPERUSER, REPLICATION and BYPASSRLS.',
    TO_ROLE:
      'One role that exists owns everything, and everything is restored as that role; grants are left out, and so is what only a superuser can make. Restored code can take up the rights of the role that Holdfast signs in with all the same.',
    NONE: 'The role that Holdfast signs in with owns everything, and grants are left out.',
  },
)

export const ArchiveFormat = enumeration<Format>('ArchiveFormat', 'The form of what a restore as files writes.', {
  CUSTOM: "Archives in pg_dump's custom format, which pg_restore reads.",
  PLAIN: 'SQL that psql reads, made from the archives as they are read.',
})
