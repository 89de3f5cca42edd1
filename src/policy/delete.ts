import { asc, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { backupPolicies } from '../database/tables/policy.ts'
import { NotFound, Refusal } from '../refusal.ts'
import { factsOf } from './facts.ts'
import { lockPolicyAlone } from './find.ts'
import type { BackupPolicy } from './policy.ts'

const shownInstances = 50

/** Backup instances follow the policy, be it deleted ones that can still be had back. */
export class PolicyInUse extends Refusal {
  /** The first of them, at most 50. */
  readonly instanceIds: string[]
  readonly instanceCount: number

  constructor(policy: BackupPolicy, users: { id: string; name: string }[], instanceCount: number) {
    const named = users.slice(0, 5).map(({ name }) => `"${name}"`)
    const others = instanceCount - named.length
    super(`Policy "${policy.name}" is followed by ${named.join(', ')}${others > 0 ? ` and ${others} more` : ''}.`, [
      'Let them follow another policy, by changePolicy.',
      'A deleted backup instance needs its policy until it is purged: undelete it first, or wait.',
    ])
    this.instanceIds = users.map(({ id }) => id)
    this.instanceCount = instanceCount
  }
}

/** Holdfast made the policy itself, for where no other is named. */
export class PolicyIsBuiltIn extends Refusal {
  readonly policyId: string

  constructor(policy: BackupPolicy) {
    super(`Policy "${policy.name}" is the built-in one: it is used where no other is named.`, [
      'Leave it: it does nothing unless a backup instance follows it.',
    ])
    this.policyId = policy.id
  }
}

export interface DeletePolicy {
  policyId: string
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

/** Deletes a policy, with all of its versions, that no backup instance follows; what it was stays in the audit log. */
export async function deletePolicy(
  database: Database,
  { policyId, dryRun, actor, now }: DeletePolicy,
): Promise<BackupPolicy> {
  return carryOut(database, { dryRun }, async (tx) => {
    const policy = await lockPolicyAlone(tx, policyId)
    if (!policy) throw new NotFound('policy')
    if (policy.isBuiltIn) throw new PolicyIsBuiltIn(policy)
    const follows = eq(backupInstances.policyId, policyId)
    const users = await tx
      .select({ id: backupInstances.id, name: backupInstances.name })
      .from(backupInstances)
      .where(follows)
      .orderBy(asc(backupInstances.createdAt), asc(backupInstances.id))
      .limit(shownInstances)
    if (users.length > 0) throw new PolicyInUse(policy, users, await tx.$count(backupInstances, follows))
    await tx.delete(backupPolicies).where(eq(backupPolicies.id, policyId))
    await recordAudit(tx, {
      actor,
      action: 'deletePolicy',
      subject: { kind: 'BackupPolicy', id: policy.id, name: policy.name },
      before: factsOf(policy.rules),
      now,
    })
    return policy
  })
}
