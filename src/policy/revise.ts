import { isDeepStrictEqual } from 'node:util'
import { eq, inArray, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { backupPolicies, policyVersions, usualAnomalyGate } from '../database/tables/policy.ts'
import { vaults } from '../database/tables/vault.ts'
import { recordNotification } from '../notification/record.ts'
import { NotFound, Refusal } from '../refusal.ts'
import { ForbiddenByImmutability, isImmutable } from '../vault/vault.ts'
import type { RetentionLimits } from './check-duration.ts'
import { type AskedRules, checkRules } from './check-rules.ts'
import { type AskedProofRules, changedProofRules } from './check-verification.ts'
import { factsOf } from './facts.ts'
import { lockPolicyAlone } from './find.ts'
import type { BackupPolicy, PolicyRules, PolicyVersion, ProofRules } from './policy.ts'
import { lastStart, nextStart, overdueAfter, startsAlike } from './schedule.ts'
import { shortenings, weakenings } from './shortening.ts'

/** The policy has another version by now than the one that the revision was made for. */
export class PolicyVersionChanged extends Refusal {
  readonly policyId: string
  readonly currentVersion: number

  constructor(policy: BackupPolicy, expectedVersion: number) {
    super(`Policy "${policy.name}" is at version ${policy.version}, not at version ${expectedVersion}.`, [
      'Look at its present rules, and ask again with the present version.',
    ])
    this.policyId = policy.id
    this.currentVersion = policy.version
  }
}

export interface RevisePolicy {
  policyId: string
  /** Refuses unless the policy is at that version; null takes any. */
  expectedVersion: number | null
  /** What is left out stays as it is. */
  changes: Partial<AskedRules> & AskedProofRules
  limits: RetentionLimits
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

export interface RevisedPolicy {
  policy: BackupPolicy
  /** How many backup instances follow the policy, and so its new version. */
  instanceCount: number
  /** What becomes shorter for recovery points made from now on, and which of their guards weaker, a sentence each. */
  shortenings: string[]
}

/**
 * Gives a policy new rules, as its next version, which all of its instances follow from now on: their next starts are
 * planned anew where the schedule changes, their recovery points keep tag and end. Rules that say the same as before make no
 * new version. Refused where anything becomes shorter or weaker while an instance lies in an immutable vault.
 */
export async function revisePolicy(
  database: Database,
  { policyId, expectedVersion, changes, limits, dryRun, actor, now }: RevisePolicy,
): Promise<RevisedPolicy> {
  return carryOut(database, { dryRun }, async (tx) => {
    const before = await lockPolicyAlone(tx, policyId)
    if (!before) throw new NotFound('policy')
    if (expectedVersion !== null && expectedVersion !== before.version) {
      throw new PolicyVersionChanged(before, expectedVersion)
    }
    const rules = changedRules(before.rules, changes, { limits, now })
    const instanceCount = await tx.$count(backupInstances, eq(backupInstances.policyId, policyId))
    if (isDeepStrictEqual(rules, rulesOf(before.rules))) return { policy: before, instanceCount, shortenings: [] }
    const shortened = [...shortenings(before.rules, rules), ...weakenings(before.rules, rules)]
    if (shortened.length > 0) await refuseInImmutableVault(tx, policyId, shortened)
    const policy = await addVersion(tx, { before, rules, actor, now })
    await moveInstances(tx, { before, policy, now })
    await recordAudit(tx, {
      actor,
      action: 'revisePolicy',
      subject: { kind: 'BackupPolicy', id: policy.id, name: policy.name },
      before: factsOf(before.rules),
      after: factsOf(policy.rules),
      detail: { instances: instanceCount },
      now,
    })
    if (shortened.length > 0 && instanceCount > 0)
      await tellShorter(tx, { policy, instanceCount, shortened, actor, now })
    return { policy, instanceCount, shortenings: shortened }
  })
}

type AllRules = PolicyRules & ProofRules

function rulesOf({ timeZone, schedule, defaultRetention, retentionRules, ...proof }: PolicyVersion): AllRules {
  const { verification, anomalyGate } = proof
  return { timeZone, schedule, defaultRetention, retentionRules, verification, anomalyGate }
}

function changedRules(
  before: PolicyVersion,
  { verification, anomalyGate, ...changes }: RevisePolicy['changes'],
  { limits, now }: Pick<RevisePolicy, 'limits' | 'now'>,
): AllRules {
  const asked = { ...(verification && { verification }), ...(anomalyGate !== undefined && { anomalyGate }) }
  return {
    ...checkRules({ ...rulesOf(before), ...changes }, { limits, now, present: before }),
    ...changedProofRules(before, asked, usualAnomalyGate),
  }
}

/** The vaults are locked first: none becomes immutable before the revision is done. */
async function refuseInImmutableVault(tx: Database, policyId: string, shortened: readonly string[]): Promise<void> {
  const inUse = tx
    .select({ id: backupInstances.vaultId })
    .from(backupInstances)
    .where(eq(backupInstances.policyId, policyId))
  const locked = await tx.select().from(vaults).where(inArray(vaults.id, inUse)).orderBy(vaults.id).for('share')
  const immutable = locked.find(isImmutable)
  if (immutable) throw new ForbiddenByImmutability(immutable, 'revisePolicy', shortened.join(' '))
}

async function addVersion(
  tx: Database,
  { before, rules, actor, now }: { before: BackupPolicy; rules: AllRules; actor: string; now: Date },
): Promise<BackupPolicy> {
  const version = before.version + 1
  const [added] = await tx
    .insert(policyVersions)
    .values({ ...rules, policyId: before.id, version, createdAt: now, createdBy: actor })
    .returning()
  if (!added) throw new Error('A version that was inserted did not come back.')
  await tx.update(backupPolicies).set({ version }).where(eq(backupPolicies.id, before.id))
  return { ...before, version, rules: added }
}

/**
 * Moves all instances in one statement, for there may be a hundred thousand. Where the schedule is the same, so are their
 * plans. Else each is overdue as one whose last point was proven now, but for those that are overdue already; a start that
 * is due and not taken yet stays due where the new schedule has one since.
 */
async function moveInstances(
  tx: Database,
  { before, policy, now }: { before: BackupPolicy; policy: BackupPolicy; now: Date },
): Promise<void> {
  const { id, version, rules } = policy
  if (startsAlike(before.rules, rules)) {
    await tx.update(backupInstances).set({ policyVersion: version }).where(eq(backupInstances.policyId, id))
    return
  }
  const next = nextStart(rules, now)
  const overdueAt = overdueAfter(rules, now)
  if (!next || !rules.schedule || !overdueAt) {
    await tx
      .update(backupInstances)
      .set({ policyVersion: version, nextNominalAt: null, nextBackupAt: null, overdueAt: null })
      .where(eq(backupInstances.policyId, id))
    return
  }
  const latest = lastStart(rules, now) ?? next
  const isRunning = sql`${backupInstances.state} = 'PROTECTION_CONFIGURED'`
  const nominalAt = sql`(case when ${backupInstances.nextNominalAt} <= ${moment(latest)} then ${moment(latest)} else ${moment(next)} end)`
  const spreadMs = sql`floor(${backupInstances.jitter} * ${rules.schedule.spreadMinutes * 60_000}::float8) * interval '1 millisecond'`
  await tx
    .update(backupInstances)
    .set({
      policyVersion: version,
      nextNominalAt: sql`case when ${isRunning} then ${nominalAt} end`,
      nextBackupAt: sql`case when ${isRunning} then ${nominalAt} + ${spreadMs} end`,
      overdueAt: sql`case when ${isRunning} then
        case when ${backupInstances.overdueAt} <= ${moment(now)} then ${backupInstances.overdueAt} else ${moment(overdueAt)} end end`,
    })
    .where(eq(backupInstances.policyId, id))
}

function moment(at: Date) {
  return sql`${at.toISOString()}::timestamptz`
}

async function tellShorter(
  tx: Database,
  {
    policy,
    instanceCount,
    shortened,
    actor,
    now,
  }: { policy: BackupPolicy; instanceCount: number; shortened: readonly string[]; actor: string; now: Date },
): Promise<void> {
  const followers = instanceCount === 1 ? '1 backup instance follows' : `${instanceCount} backup instances follow`
  await recordNotification(tx, {
    kind: 'POLICY_SHORTENED',
    severity: 'WARNING',
    message: `Policy "${policy.name}", which ${followers}, was revised by ${actor}: ${shortened.join(' ')}`,
    recommendedActions: [
      'If this was not meant, revise the policy again: recovery points that are there keep their tag and their end.',
    ],
    about: { policyId: policy.id, name: policy.name },
    now,
  })
}
