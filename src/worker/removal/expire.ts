import { beginExpiry } from '../../instance/expiry/begin-expiry.ts'
import { markExpired } from '../../instance/expiry/mark-expired.ts'
import { recordExpiry, retryExpiryLater } from '../../instance/expiry/record-expiry.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { beginSweep, findPointsToSweep } from '../../recovery-point/begin-sweep.ts'
import { recordRemoval, sumRemovals } from '../../recovery-point/record-removal.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { instanceOf, storageOf } from '../subjects.ts'
import { type ComparedVault, compareWithVault } from './compare-vault.ts'
import { removeBytes } from './remove-bytes.ts'

const markedAtOnce = 1_000
const sweptAtOnce = 100

/** Removes recovery points whose time is over: marks them, and sweeps what was marked long enough ago, bytes before rows. */
export function expireHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => expire(context, run),
    recordFailure: (tx, { instanceId }) => retryExpiryLater(tx, { instanceId: instanceId ?? '', now: context.now() }),
  }
}

async function expire(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { instance, vault } = await instanceOf(context, run.job)
  const place = { instance, vault, storage: storageOf(context, vault) }
  await checkVault(place.storage, { vaultId: vault.id, recipient: vault.recipient })
  await run.subTask('Mark', () => markDue(context, run, instance.id))
  await run.subTask('Remove', () => sweepDue(context, run, place))
  await run.subTask('Compare with the vault', () => compareWithVault(context, run, place))
  const now = await context.dueNow()
  return {
    kind: 'completed',
    record: async (tx) => {
      const removed = await sumRemovals(tx, { jobId: run.job.id, createdAt: run.job.createdAt })
      const { removalGraceMs } = context
      await recordExpiry(tx, { instanceId: instance.id, removed, jobId: run.job.id, removalGraceMs, now })
    },
  }
}

/** Marks what the plan takes, a bounded part at a time. */
async function markDue({ database, dueNow }: WorkerContext, run: JobRun, instanceId: string): Promise<void> {
  const now = await dueNow()
  const begun = await beginExpiry(database, { instanceId, markAtMost: markedAtOnce, now })
  const { marked, kept, blockedCount } = begun
  let count = begun.markedCount
  for (let start = markedAtOnce; start < marked.length; start += markedAtOnce) {
    run.signal.throwIfAborted()
    await run.confirm()
    const ids = marked.slice(start, start + markedAtOnce)
    count += (await markExpired(database, { instanceId, ids, now })).count
  }
  run.note('Chosen for removal', String(count))
  if (kept.length > 0) run.note('Expired but kept', String(kept.length - blockedCount))
  if (blockedCount > 0) {
    run.warn(`${blockedCount} points have expired, too great a share of all: they wait for approveExpiry.`)
  }
}

/** Removes what was marked before the grace began, and what a run before this one did not finish. */
async function sweepDue(context: WorkerContext, run: JobRun, place: ComparedVault): Promise<void> {
  const { database, removalGraceMs } = context
  const instanceId = place.instance.id
  const markedUntil = new Date((await context.dueNow()).getTime() - removalGraceMs)
  let count = 0
  for (;;) {
    const points = await findPointsToSweep(database, { instanceId, markedUntil, limit: sweptAtOnce })
    if (points.length === 0) break
    for (const point of points) {
      run.signal.throwIfAborted()
      await run.confirm()
      if (await sweep(context, run, place, point)) run.progress({ rowsDone: ++count })
    }
  }
  run.note('Removed', String(count))
}

/** Whether the point is gone: its bytes first, then, when nothing of them is left, its row. */
async function sweep(
  { database, dueNow, now }: WorkerContext,
  run: JobRun,
  { instance, vault, storage }: ComparedVault,
  { id: recoveryPointId, prefix, pointInTime }: RecoveryPoint,
): Promise<boolean> {
  const decision = await beginSweep(database, { recoveryPointId, instanceId: instance.id, now: await dueNow() })
  if (decision.kind === 'STAYS') {
    const because = decision.because.join(', ')
    if (because) run.note(`Point of ${pointInTime.toISOString()}`, `stays after all: ${because}`)
    return false
  }
  await removeBytes({ instance, vault, storage }, prefix)
  return recordRemoval(database, { recoveryPointId, instanceName: instance.name, jobId: run.job.id, now: now() })
}
