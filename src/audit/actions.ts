/** All that the audit log may say was done, each with what it means. Lines are kept for ever: nothing here is ever taken out. */
export const auditActions = {
  createVault: 'A vault was added.',
  updateVaultSecurity: 'The rules that guard what a vault keeps were changed.',
  updateVaultCredentials: 'The access key of a vault in a bucket was replaced.',
  exportRecoveryKey: 'The recovery key of a vault was handed out.',
  rotateVaultKey: 'It was begun to give a vault a new key.',
  vaultKeyChanged: 'What a vault keeps is sealed for its new key from now on.',
  importVault: 'It was begun to make known what a vault holds.',
  vaultImported: 'A vault was made known from its own place and its recovery key.',
  rebuildCatalogue: 'It was begun to make known again what a vault holds and the catalogue has lost.',
  recoveryPointsImported: 'Recovery points of a backup instance were made known from the vault.',
  backUpMetadata: "A backup of Holdfast's own metadata was started.",
  switchMetadataBackup: "The backup of Holdfast's own metadata into a vault was turned on or off.",
  metadataRecovered: 'Holdfast was brought back from a copy of its metadata.',
  deleteVault: 'An empty vault was forgotten.',
  createPolicy: 'A policy was added.',
  revisePolicy: 'A policy was given new rules.',
  deletePolicy: 'A policy was deleted.',
  registerServer: 'A server was registered.',
  updateServerCredentials: 'The role and password for a server were replaced.',
  removeServer: 'A server was forgotten.',
  configureProtection: 'It was begun to protect a server in a vault.',
  validateForBackup: 'It was asked whether a server could be protected in a vault.',
  retryConfigureProtection: 'A configuration that had failed was tried again.',
  protectionConfigured: 'Server and vault were found to be in order: protection is configured.',
  configuringProtectionFailed: 'The checks of server and vault failed.',
  changePolicy: 'A backup instance was given another policy.',
  stopProtection: 'The protection of a backup instance was stopped.',
  resumeProtection: 'The protection of a backup instance was resumed.',
  deleteBackupInstance: 'A backup instance was deleted with its recovery points.',
  undeleteBackupInstance: 'A deleted backup instance was had back.',
  purgeBegun: 'The data of a deleted backup instance began to be purged.',
  purgePutOff: 'The purge of a deleted backup instance was put off.',
  instancePurged: 'The data of a deleted backup instance was purged.',
  backUpNow: 'A backup on demand was started.',
  verifyRecoveryPoint: 'The verification of a recovery point was started.',
  restoreAsFiles: 'A restore as files was started.',
  restoreToServer: 'A restore into a server was started.',
  cancelJob: 'A job was asked to stop.',
  holdRecoveryPoint: 'A recovery point was put on hold.',
  releaseRecoveryPoint: 'The hold on a recovery point was ended.',
  approveExpiry: 'An expiry was approved that had stopped because it would remove too much.',
  recoveryPointsMarked: 'Recovery points whose time was over were chosen for removal.',
  recoveryPointKept: 'The removal of a recovery point was taken back before its bytes went.',
  recoveryPointRemoved: 'A recovery point was removed.',
  createNotificationChannel: 'A notification channel was added.',
  deleteNotificationChannel: 'A notification channel was removed.',
  testNotificationChannel: 'A notification was sent to a channel to try it.',
  rotateNotificationChannelSecret: 'A webhook was given a new signing secret.',
} as const

/** Something that the audit log may say was done: the name of a mutation, or of a transition. */
export type AuditAction = keyof typeof auditActions

/** All types of the schema whose objects the audit log tells of. */
export const auditSubjectKinds = {
  Vault: 'A vault.',
  BackupPolicy: 'A policy.',
  PostgresServer: 'A registered server.',
  BackupInstance: 'A backup instance.',
  RecoveryPoint: 'A recovery point.',
  Job: 'A job.',
  NotificationChannel: 'A notification channel.',
} as const

/** The type of what something was done to. */
export type AuditSubjectKind = keyof typeof auditSubjectKinds
