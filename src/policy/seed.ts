import { randomUUID } from 'node:crypto'
import type { Database } from '../database/connect.ts'
import { backupPolicies } from '../database/tables/policy.ts'

/** Makes sure that the built-in policy exists: backups on demand, kept for 30 days. Safe to call at every start. */
export async function seedPolicies(database: Database, { now }: { now: Date }): Promise<void> {
  await database
    .insert(backupPolicies)
    .values({ id: randomUUID(), name: 'On demand, 30 days', defaultRetention: 'P30D', isBuiltIn: true, createdAt: now })
    .onConflictDoNothing({ target: backupPolicies.name })
}
