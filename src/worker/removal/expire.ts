import type { Database } from '../../database/connect.ts'
import { failureOf } from '../../failure.ts'
import { beginExpiry } from '../../instance/expiry/begin-expiry.ts'
import { markExpired } from '../../instance/expiry/mark-expired.ts'
import { putExpiryOff, recordExpiry, retryExpiryLater } from '../../instance/expiry/record-expiry.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { beginSweep, findPointsToSweep } from '../../recovery-point/begin-sweep.ts'
import { recordRemoval, sumRemovals } from '../../recovery-point/record-removal.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import { forgetUnusedKeys } from '../../vault/key/record-rotation.ts'
import { findRemovalRest, sentenceOf } from '../../vault/removal-rest.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { instanceOf } from '../subjects.ts'
import { checkClocks } from './check-clocks.ts'
import { checkGuarded } from './check-guarded.ts'
import { type ComparedVault, compareWithVault } from './compare-vault.ts'
import { nameOf, placesOf } from './places.ts'
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
  const { instance } = await instanceOf(context, run.job)
  const rest = await findRemovalRest(context.database, await context.dueNow())
  if (rest) {
    run.warn(`Nothing was removed, for ${sentenceOf(rest)}.`)
    return { kind: 'completed', record: (tx) => putExpiryOff(tx, { instanceId: instance.id, until: rest.endsAt }) }
  }
  let rowsDone = 0
  const onStep = () => run.progress({ rowsDone: ++rowsDone })
  const { places, unseen } = await lookAt(context, run, { instance, onFolder: onStep })
  const vaultIds = places.map(({ vault }) => vault.id)
  await run.subTask('Mark', () => markDue(context, run, { instanceId: instance.id, vaultIds }))
  const stuck = await run.subTask('Remove', async () => {
    const failures = new Map<string, StorageError>()
    const sweeping = { failures, removedCount: 0, onRemoved: onStep }
    for (const place of places) await sweepDue(context, run, place, sweeping)
    run.note('Removed', String(sweeping.removedCount))
    if (failures.size > 0) run.note('Could not be removed', String(failures.size))
    return [...failures.values()]
  })
  const now = await context.dueNow()
  const troubles = [...unseen, ...stuck]
  const record = async (tx: Database) => {
    const removed = await sumRemovals(tx, { jobId: run.job.id, createdAt: run.job.createdAt })
    const { removalGraceMs } = context
    const isPartial = troubles.length > 0
    await recordExpiry(tx, { instanceId: instance.id, removed, jobId: run.job.id, removalGraceMs, isPartial, now })
    for (const vaultId of vaultIds) await forgetUnusedKeys(tx, vaultId)
  }
  const [first] = troubles
  if (!first) return { kind: 'completed', record }
  const error = failureOf(first.code, troubles.map(({ message }) => message).join('\n'))
  return { kind: 'failed', error, record, recordsFailure: true }
}

/**
 * Compares each vault that holds points of the instance with the catalogue. One that cannot be looked at holds up no other:
 * nothing goes from there, and what it said is answered. Throws that where none can be looked at.
 */
async function lookAt(
  context: WorkerContext,
  run: JobRun,
  { instance, onFolder }: Pick<ComparedVault, 'instance'> & { onFolder: () => void },
): Promise<{ places: ComparedVault[]; unseen: StorageError[] }> {
  const places: ComparedVault[] = []
  const unseen: StorageError[] = []
  for (const place of await placesOf(context, instance)) {
    const { vault, storage } = place
    try {
      await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
      await run.subTask(`Compare with ${nameOf(place)}`, () => compareWithVault(context, run, { ...place, onFolder }))
      places.push(place)
    } catch (cause) {
      if (!(cause instanceof StorageError)) throw cause
      unseen.push(cause)
    }
  }
  if (places.length === 0 && unseen[0]) throw unseen[0]
  return { places, unseen }
}

/** Marks what the plan takes, a bounded part at a time, in the vaults that were looked at. */
async function markDue(
  { database, dueNow }: WorkerContext,
  run: JobRun,
  due: { instanceId: string; vaultIds: readonly string[] },
): Promise<void> {
  const now = await dueNow()
  // Looking may have taken hours, in which the clock may have jumped.
  if (await findRemovalRest(database, now)) return
  const begun = await beginExpiry(database, { ...due, markAtMost: markedAtOnce, now })
  const { marked, kept, blockedCount } = begun
  let count = begun.markedCount
  for (let start = markedAtOnce; start < marked.length; start += markedAtOnce) {
    run.signal.throwIfAborted()
    await run.confirm()
    const ids = marked.slice(start, start + markedAtOnce)
    count += (await markExpired(database, { ...due, ids, now })).count
  }
  run.note('Chosen for removal', String(count))
  if (kept.length > 0) run.note('Expired but kept', String(kept.length - blockedCount))
  if (blockedCount > 0) {
    run.warn(`${blockedCount} points have expired, too great a share of all: they wait for approveExpiry.`)
  }
}

interface Sweeping {
  /** What the vault said of each point that it could not let go, by its id. */
  failures: Map<string, StorageError>
  removedCount: number
  onRemoved: () => void
}

/**
 * Removes from a vault what was marked before the grace began, and what a run before this one did not finish. A point whose
 * folder cannot be removed holds up no other.
 */
async function sweepDue(context: WorkerContext, run: JobRun, place: ComparedVault, sweeping: Sweeping): Promise<void> {
  const { database, removalGraceMs } = context
  const { instance, vault } = place
  const { failures } = sweeping
  while (failures.size < mostStuck) {
    const now = await context.dueNow()
    // The clock may have jumped since the run began.
    if (await findRemovalRest(database, now)) return
    const markedUntil = new Date(now.getTime() - removalGraceMs)
    const due = { markedUntil, now, except: [...failures.keys()], limit: sweptAtOnce }
    const points = await findPointsToSweep(database, { instanceId: instance.id, vaultId: vault.id, ...due })
    if (points.length === 0) return
    await checkGuarded(context, run, place)
    for (const point of points) {
      run.signal.throwIfAborted()
      await run.confirm()
      try {
        if (!(await sweep(context, run, place, point))) continue
        sweeping.removedCount += 1
        sweeping.onRemoved()
      } catch (cause) {
        if (!isOfOneFolder(cause)) throw cause
        failures.set(point.id, cause)
      }
    }
  }
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
