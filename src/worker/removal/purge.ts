import { failureOf } from '../../failure.ts'
import type { BackupInstance } from '../../instance/instance.ts'
import { beginPurge, retryPurgeLater } from '../../instance/purge/begin-purge.ts'
import { finishPurge } from '../../instance/purge/finish-purge.ts'
import { forgetPoints, type PointSum, sumPoints } from '../../instance/purge/forget-points.ts'
import { markPurged } from '../../instance/purge/mark-purged.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { pageRecoveryPoints } from '../../recovery-point/find.ts'
import { instancePrefix } from '../../storage/point-folders.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import { forgetUnusedKeys } from '../../vault/key/record-rotation.ts'
import { findRemovalRest } from '../../vault/removal-rest.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { instanceOf } from '../subjects.ts'
import { checkClocks } from './check-clocks.ts'
import type { ComparedVault } from './compare-vault.ts'
import { nameOf, placesOf } from './places.ts'
import { removeBytes } from './remove-bytes.ts'

const pageSize = 100
const markedAtOnce = 5_000
/** Few: each may have had a list of 100,000 tables. */
const forgottenAtOnce = 20

/** Ends deleted backup instances: the bytes of every point, then what else lies in their folder, then the rows. */
export function purgeHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => purge(context, run),
    recordFailure: async (tx, { instanceId }) =>
      retryPurgeLater(tx, { instanceId: instanceId ?? '', now: await context.dueNow(tx) }),
  }
}

async function purge(context: WorkerContext, run: JobRun): Promise<Outcome> {
  await checkClocks(context)
  const { instance } = await instanceOf(context, run.job)
  const ask = { instanceId: instance.id, jobId: run.job.id }
  // All are there before the point of no return: until then the instance can be had back.
  await checkedPlaces(context, instance)
  await run.confirm()
  const now = await context.dueNow()
  const rest = await findRemovalRest(context.database, now)
  const decision = await beginPurge(context.database, { ...ask, rest, now })
  switch (decision.kind) {
    case 'NOT_DUE':
      run.note('Nothing was purged', 'The backup instance is not deleted any more, or its time has not come.')
      return { kind: 'completed' }
    case 'PUT_OFF':
      run.warn(`Nothing was purged, and the purge is put off to ${decision.until.toISOString()}: ${decision.why}.`)
      return { kind: 'completed' }
    case 'BUSY':
      return {
        kind: 'retryLater',
        error: failureOf('INSTANCE_BUSY', `${decision.pendingJobs} jobs of "${instance.name}" have not ended.`),
      }
    case 'PURGE': {
      await run.subTask('Mark recovery points', () => markPoints(context, run, instance.id))
      // Only now no copy is under way any more that would be somewhere else.
      const places = await checkedPlaces(context, instance)
      for (const place of places) {
        await run.subTask(`Remove recovery points from ${nameOf(place)}`, () => removePoints(context, run, place))
        await run.subTask(`Remove the rest from ${nameOf(place)}`, () =>
          removeBytes(place, instancePrefix(instance.id)),
        )
      }
      const points = await run.subTask('Forget recovery points', () => forget(context, run, instance.id))
      await run.confirm()
      return {
        kind: 'completed',
        record: async (tx) => {
          await finishPurge(tx, { ...ask, points, now: context.now() })
          for (const { vault } of places) await forgetUnusedKeys(tx, vault.id)
        },
      }
    }
  }
}

/** Every vault that may hold bytes of the instance, each certain to be there. */
async function checkedPlaces(context: WorkerContext, instance: BackupInstance): Promise<ComparedVault[]> {
  const places = await placesOf(context, instance)
  for (const { vault, storage } of places) {
    await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
  }
  return places
}

async function markPoints({ database, dueNow }: WorkerContext, run: JobRun, instanceId: string): Promise<void> {
  for (let rowsDone = 0; ; ) {
    run.signal.throwIfAborted()
    await run.confirm()
    const marked = await markPurged(database, { instanceId, atOnce: markedAtOnce, now: await dueNow() })
    if (marked === 0) return
    rowsDone += marked
    run.progress({ rowsDone })
  }
}

async function removePoints({ database }: WorkerContext, run: JobRun, place: ComparedVault): Promise<void> {
  const filter = { instanceId: place.instance.id, vaultId: place.vault.id }
  let count = 0
  run.progress({ rowsDone: count })
  for (let after: { at: Date; id: string } | undefined; ; ) {
    const { rows } = await pageRecoveryPoints(database, { filter, page: { first: pageSize, ...(after && { after }) } })
    for (const { prefix } of rows) {
      run.signal.throwIfAborted()
      await run.confirm()
      await removeBytes(place, prefix)
      run.progress({ rowsDone: ++count })
    }
    const last = rows.at(-1)
    if (!last) return
    after = { at: last.createdAt, id: last.id }
  }
}

/** Forgets all points, whose bytes are gone; answers what they were before any attempt at this job had forgotten one. */
async function forget({ database }: WorkerContext, run: JobRun, instanceId: string): Promise<PointSum> {
  // Kept by an attempt of this very job only.
  const points = (run.job.kept as PointSum | null) ?? (await sumPoints(database, instanceId))
  await run.keep(points)
  for (;;) {
    run.signal.throwIfAborted()
    await run.confirm()
    if ((await forgetPoints(database, { instanceId, atOnce: forgottenAtOnce })) === 0) return points
    run.alive()
  }
}
