import type { backupPolicies } from '../database/tables/policy.ts'

/** When backups start and how long their recovery points are kept. */
export type BackupPolicy = typeof backupPolicies.$inferSelect
