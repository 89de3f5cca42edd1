import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { recordNotification } from '../notification/record.ts'
import { findPolicies, lockPolicy } from '../policy/find.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import { startsAlike } from '../policy/schedule.ts'
import { shortenings, weakenings } from '../policy/shortening.ts'
import { NotFound } from '../refusal.ts'
import { lockVault } from '../vault/find.ts'
import { ForbiddenByImmutability, isImmutable } from '../vault/vault.ts'
import { noEffects, type RetentionEffects } from './effects.ts'
import type { BackupInstance } from './instance.ts'
import { planNext } from './schedule/plan-next.ts'
import { lockFor, moveInstance } from './transition.ts'

export interface ChangePolicy {
  instanceId: string
  policyId: string
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

export interface ChangedPolicy {
  instance: BackupInstance
  effects: RetentionEffects
  /** What becomes shorter for recovery points made from now on, and which of their guards weaker, a sentence each. */
  shortenings: string[]
}

/**
 * Lets an instance follow another policy: for recovery points made from now on, and for when backups start. Existing points
 * keep their tag and their end. Refused by an immutable vault where anything would become shorter or weaker.
 */
export async function changePolicy(
  database: Database,
  { instanceId, policyId, dryRun, actor, now }: ChangePolicy,
): Promise<ChangedPolicy> {
  return carryOut(database, { dryRun }, async (tx) => {
    // The policy first, as a revision does.
    const policy = await lockPolicy(tx, policyId)
    const before = await lockFor(tx, instanceId, 'CHANGE_POLICY')
    if (!policy) throw new NotFound('policy')
    const [former] = await findPolicies(tx, [before.policyId])
    const shortened = former
      ? [...shortenings(former.rules, policy.rules), ...weakenings(former.rules, policy.rules)]
      : []
    await refuseShorter(tx, before, shortened)
    const change = {
      policyId: policy.id,
      policyVersion: policy.version,
      ...(before.state === 'PROTECTION_CONFIGURED' &&
        !(former && startsAlike(former.rules, policy.rules)) &&
        planAnew({ instance: before, policy, now })),
    }
    const instance = await moveInstance(tx, instanceId, { operation: 'CHANGE_POLICY', change, now })
    await recordAudit(tx, {
      actor,
      action: 'changePolicy',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      before: { policy: former?.name ?? null, policyVersion: before.policyVersion },
      after: { policy: policy.name, policyVersion: policy.version },
      now,
    })
    if (shortened.length > 0) await tellShorter(tx, { instance, policy, shortened, actor, now })
    return { instance, effects: noEffects(instance), shortenings: shortened }
  })
}

async function refuseShorter(tx: Database, instance: BackupInstance, shortened: readonly string[]): Promise<void> {
  if (shortened.length === 0) return
  const vault = await lockVault(tx, instance.vaultId)
  if (vault && isImmutable(vault)) throw new ForbiddenByImmutability(vault, 'changePolicy', shortened.join(' '))
}

/**
 * As a revision plans: a start of the old schedule that is due but has not been taken is not lost where the new one has it
 * as well, and only what is overdue already is overdue by the new schedule at once.
 */
function planAnew({ instance, policy, now }: { instance: BackupInstance; policy: BackupPolicy; now: Date }) {
  const { nextNominalAt: open, overdueAt, jitter } = instance
  const after = open && open.getTime() <= now.getTime() ? new Date(open.getTime() - 1) : now
  const plan = planNext(policy.rules, { jitter, after, provenAt: now })
  const isOverdue = overdueAt !== null && overdueAt.getTime() <= now.getTime()
  return plan.overdueAt !== null && isOverdue ? { ...plan, overdueAt } : plan
}

async function tellShorter(
  tx: Database,
  {
    instance,
    policy,
    shortened,
    actor,
    now,
  }: { instance: BackupInstance; policy: BackupPolicy; shortened: readonly string[]; actor: string; now: Date },
): Promise<void> {
  await recordNotification(tx, {
    kind: 'POLICY_SHORTENED',
    severity: 'WARNING',
    message: `Backup instance "${instance.name}" follows policy "${policy.name}" now, by ${actor}: ${shortened.join(' ')}`,
    recommendedActions: [
      'If this was not meant, choose another policy: recovery points that are there keep their end.',
    ],
    about: { instanceId: instance.id, vaultId: instance.vaultId, policyId: policy.id, name: instance.name },
    now,
  })
}
