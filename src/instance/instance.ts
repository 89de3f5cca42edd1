import type { backupInstances } from '../database/tables/backup-instance.ts'

/** One server protected in one vault under one policy: the thing with a lifecycle. */
export type BackupInstance = typeof backupInstances.$inferSelect

export type ProtectionState = BackupInstance['state']
