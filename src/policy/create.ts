import { randomUUID } from 'node:crypto'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupPolicies, policyVersions, usualAnomalyGate, usualVerification } from '../database/tables/policy.ts'
import { checkName, NameTaken } from '../refusal.ts'
import type { RetentionLimits } from './check-duration.ts'
import { type AskedRules, checkRules, usualRetentionLimits } from './check-rules.ts'
import { type AskedProofRules, changedProofRules } from './check-verification.ts'
import { factsOf } from './facts.ts'
import type { BackupPolicy } from './policy.ts'

export interface CreatePolicy extends Partial<AskedRules>, AskedProofRules {
  name: string
  /** ISO 8601 duration, within the limits. */
  defaultRetention: string
  /** 7 days to 10 years when left out. */
  limits?: RetentionLimits
  actor: string
  now: Date
}

/**
 * Adds a policy: in UTC, of backups on demand, with no rule but the default one, where nothing else is asked for. Its points
 * are decoded within 30 days and never restored for proof, and half of what they hold may go before that is an anomaly.
 */
export async function createPolicy(
  database: Database,
  { name, limits = usualRetentionLimits, actor, now, verification, anomalyGate, ...asked }: CreatePolicy,
): Promise<BackupPolicy> {
  checkName('name', name)
  const checked = checkRules({ timeZone: 'UTC', schedule: null, retentionRules: [], ...asked }, { limits, now })
  const proofRules = changedProofRules(
    { verification: usualVerification, anomalyGate: usualAnomalyGate },
    { ...(verification && { verification }), ...(anomalyGate !== undefined && { anomalyGate }) },
    usualAnomalyGate,
  )
  return database.transaction(async (tx) => {
    const [created] = await tx
      .insert(backupPolicies)
      .values({ id: randomUUID(), name, createdAt: now })
      .onConflictDoNothing({ target: backupPolicies.name })
      .returning()
    if (!created) throw new NameTaken('policy', name)
    const [rules] = await tx
      .insert(policyVersions)
      .values({ ...checked, ...proofRules, policyId: created.id, version: 1, createdAt: now, createdBy: actor })
      .returning()
    if (!rules) throw new Error('A version that was inserted did not come back.')
    await recordAudit(tx, {
      actor,
      action: 'createPolicy',
      subject: { kind: 'BackupPolicy', id: created.id, name },
      after: factsOf(rules),
      detail: { defaultRetention: rules.defaultRetention },
      now,
    })
    return { ...created, rules }
  })
}
