import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut, StartOver } from '../database/rehearse.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import type { JobRow } from '../job/states.ts'
import { lockPolicy } from '../policy/find.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import { NotFound } from '../refusal.ts'
import { findServers } from '../server/find.ts'
import { requireCredentials } from '../server/server.ts'
import { effectsOf, type RetentionEffects } from './effects.ts'
import { enqueueExpiry } from './expiry/enqueue-expiry.ts'
import { nextExpiry } from './expiry/next-expiry.ts'
import { planExpiry } from './expiry/plan-expiry.ts'
import type { BackupInstance } from './instance.ts'
import { planNext } from './schedule/plan-next.ts'
import { lockFor, moveInstance } from './transition.ts'

export interface ResumeProtection {
  instanceId: string
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

export interface Resumed {
  instance: BackupInstance
  effects: RetentionEffects
  /** Removes the points whose time is over; null when it would remove none, and on a dry run. */
  cleanUp: JobRow | null
}

/**
 * Protects a server again: the schedule runs from now on, and points expire on their own dates. Those that are past theirs
 * already are removed by a job, under the guards of every expiry; where those are too great a share of all, they stay and
 * the next expiry asks for approval.
 */
export async function resumeProtection(
  database: Database,
  { instanceId, dryRun, actor, now }: ResumeProtection,
): Promise<Resumed> {
  return carryOut(database, { dryRun }, async (tx) => {
    const { before, policy } = await lockWithPolicy(tx, instanceId)
    for (const server of await findServers(tx, [before.serverId])) requireCredentials(server)
    const instance = await moveInstance(tx, instanceId, {
      operation: 'RESUME_PROTECTION',
      change: {
        // What was made before the stop does not make the instance overdue: its schedule did not run.
        ...planNext(policy.rules, { jitter: before.jitter, after: now, provenAt: null }),
        policyVersion: policy.version,
        expiryDueAt: nextExpiry(now),
        stopReason: null,
        stopComment: null,
      },
      now,
    })
    const plan = await planExpiry(tx, { instance, now })
    const isDue = plan.marked.length > 0
    const cleanUp = isDue ? await enqueueExpiry(tx, { instance, trigger: 'USER', actor, now }) : null
    await recordAudit(tx, {
      actor,
      action: 'resumeProtection',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      before: { state: before.state, stopReason: before.stopReason, stopComment: before.stopComment },
      after: { state: instance.state, stopReason: null, stopComment: null },
      detail: { policy: policy.name, cleanUpJob: cleanUp?.id ?? null },
      now,
    })
    const effects = await effectsOf(tx, { before, after: instance, plan, now })
    return { instance, effects, cleanUp: dryRun ? null : cleanUp }
  })
}

/**
 * The instance and the policy it follows, both locked; the policy first, as a revision does. Starts over when another
 * policy was chosen between the two locks: the lock of that one cannot be waited for with the instance held.
 */
async function lockWithPolicy(
  tx: Database,
  instanceId: string,
): Promise<{ before: BackupInstance; policy: BackupPolicy }> {
  const [seen] = await tx
    .select({ policyId: backupInstances.policyId })
    .from(backupInstances)
    .where(eq(backupInstances.id, instanceId))
  if (!seen) throw new NotFound('backup instance')
  const policy = await lockPolicy(tx, seen.policyId)
  const before = await lockFor(tx, instanceId, 'RESUME_PROTECTION')
  if (!policy || before.policyId !== policy.id) throw new StartOver('Another policy was chosen meanwhile.')
  return { before, policy }
}
