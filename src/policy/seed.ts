import { randomUUID } from 'node:crypto'
import type { Database } from '../database/connect.ts'
import { backupPolicies, policyVersions } from '../database/tables/policy.ts'

/** Makes sure that the built-in policy exists: backups on demand, kept for 30 days. Safe to call at every start. */
export async function seedPolicies(database: Database, { now }: { now: Date }): Promise<void> {
  await database.transaction(async (tx) => {
    const [seeded] = await tx
      .insert(backupPolicies)
      .values({ id: randomUUID(), name: 'On demand, 30 days', isBuiltIn: true, createdAt: now })
      .onConflictDoNothing({ target: backupPolicies.name })
      .returning()
    if (!seeded) return
    await tx.insert(policyVersions).values({
      policyId: seeded.id,
      version: 1,
      timeZone: 'UTC',
      schedule: null,
      defaultRetention: 'P30D',
      retentionRules: [],
      createdAt: now,
      createdBy: 'holdfast',
    })
  })
}
