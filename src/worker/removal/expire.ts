import type { Database } from '../../database/connect.ts'
import { failureOf } from '../../failure.ts'
import { beginExpiry } from '../../instance/expiry/begin-expiry.ts'
import { markExpired } from '../../instance/expiry/mark-expired.ts'
import { recordExpiry, retryExpiryLater } from '../../instance/expiry/record-expiry.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { beginSweep, findPointsToSweep } from '../../recovery-point/begin-sweep.ts'
import { recordRemoval, sumRemovals } from '../../recovery-point/record-removal.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import { forgetUnusedKeys } from '../../vault/key/record-rotation.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { instanceOf, storageOf } from '../subjects.ts'
import { checkClocks } from './check-clocks.ts'
import { checkGuarded } from './check-guarded.ts'
import { type ComparedVault, compareWithVault } from './compare-vault.ts'
import { removeBytes } from './remove-bytes.ts'

const markedAtOnce = 1_000
const sweptAtOnce = 100
const mostStuck = 1_000

/**
 * Removes recovery points whose time is over: looks at the vault first, so that nothing goes for the sake of what is not
 * there; then marks them, and sweeps what was marked long enough ago, bytes before rows.
 */
export function expireHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => expire(context, run),
    recordFailure: async (tx, { instanceId }) =>
      retryExpiryLater(tx, { instanceId: instanceId ?? '', now: await context.dueNow(tx) }),
  }
}

async function expire(context: WorkerContext, run: JobRun): Promise<Outcome> {
  await checkClocks(context)
  const { instance, vault } = await instanceOf(context, run.job)
  const place = { instance, vault, storage: storageOf(context, vault) }
  await checkVault(place.storage, { vaultId: vault.id, recipient: vault.recipient })
  let rowsDone = 0
  const onStep = () => run.progress({ rowsDone: ++rowsDone })
  await run.subTask('Compare with the vault', () => compareWithVault(context, run, { ...place, onFolder: onStep }))
  await run.subTask('Mark', () => markDue(context, run, instance.id))
  const stuck = await run.subTask('Remove', () => sweepDue(context, run, { ...place, onRemoved: onStep }))
  const now = await context.dueNow()
  const record = async (tx: Database) => {
    const removed = await sumRemovals(tx, { jobId: run.job.id, createdAt: run.job.createdAt })
    const { removalGraceMs } = context
    await recordExpiry(tx, { instanceId: instance.id, removed, jobId: run.job.id, removalGraceMs, now })
    await forgetUnusedKeys(tx, vault.id)
  }
  const [first] = stuck.values()
  if (!first) return { kind: 'completed', record }
  const told = [...stuck.values()].map(({ message }) => message).join('\n')
  return { kind: 'failed', error: failureOf(first.code, told), record }
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

/**
 * Removes what was marked before the grace began, and what a run before this one did not finish. A point whose folder
 * cannot be removed holds up no other: those are answered, by id, with what the vault said.
 */
async function sweepDue(
  context: WorkerContext,
  run: JobRun,
  { onRemoved, ...place }: ComparedVault & { onRemoved: () => void },
): Promise<Map<string, StorageError>> {
  const { database, removalGraceMs } = context
  const instanceId = place.instance.id
  const stuck = new Map<string, StorageError>()
  let count = 0
  while (stuck.size < mostStuck) {
    const now = await context.dueNow()
    const markedUntil = new Date(now.getTime() - removalGraceMs)
    const due = { instanceId, markedUntil, now, except: [...stuck.keys()], limit: sweptAtOnce }
    const points = await findPointsToSweep(database, due)
    if (points.length === 0) break
    await checkGuarded(context, run, place)
    for (const point of points) {
      run.signal.throwIfAborted()
      await run.confirm()
      try {
        if (!(await sweep(context, run, place, point))) continue
        count += 1
        onRemoved()
      } catch (cause) {
        if (!isOfOneFolder(cause)) throw cause
        stuck.set(point.id, cause)
      }
    }
  }
  run.note('Removed', String(count))
  if (stuck.size > 0) run.note('Could not be removed', String(stuck.size))
  return stuck
}

/** Whether other folders of the vault may be removed all the same. */
function isOfOneFolder(cause: unknown): cause is StorageError {
  return cause instanceof StorageError && cause.code !== 'STORAGE_UNREACHABLE' && cause.code !== 'WRONG_KEY'
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
