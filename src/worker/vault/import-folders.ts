import { findInstances } from '../../instance/find.ts'
import type { JobRun } from '../../job/handler.ts'
import { findKnownFolders } from '../../recovery-point/find-folders.ts'
import type { PointFolder } from '../../storage/point-folders.ts'
import { isId, readPointHeader } from '../../storage/point-header.ts'
import { isAboutStored } from '../../storage/storage-error.ts'
import { jobIdOf } from '../../storage/vault-layout.ts'
import type { ImportReport } from '../../vault/import/request.ts'
import { recordOrphans } from '../../vault/record-orphans.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { compareWithVault } from '../removal/compare-vault.ts'
import { sideBySide } from '../side-by-side.ts'
import { keepReport } from './import-report.ts'
import type { OpenedVault } from './open-imported.ts'
import { readFoundPoint } from './read-found-point.ts'
import { recordFoundPoint } from './record-found-point.ts'
import { takeOverRewrap } from './take-over-rewrap.ts'

const mostListed = 1_000
/** How many headers are asked for at once. */
const mostReadAtOnce = 8

export interface ImportFolders {
  opened: OpenedVault
  /** The name of the folder that they lie in, which is that of a backup instance unless somebody else made it. */
  instanceId: string
  folders: readonly PointFolder[]
  /** What is found is added to it. */
  report: ImportReport
  dryRun: boolean
  onFolder: () => void
}

/**
 * Makes known the recovery points among the folders of a backup instance, the newest first, which says what the instance and
 * its server are called. What is no point is named in the report, and counted among the vault's orphans.
 */
export async function importFolders(context: WorkerContext, run: JobRun, input: ImportFolders): Promise<void> {
  const { opened, instanceId, folders, report, dryRun, onFolder } = input
  const unreadable: PointFolder[] = []
  const refuse = (folder: PointFolder, reason: string) => {
    unreadable.push(folder)
    report.unreadableCount += 1
    if (report.unreadable.length < mostListed) report.unreadable.push({ folder: folder.prefix, reason })
  }
  if (!isId(instanceId)) {
    for (const folder of folders) refuse(folder, `${folder.prefix} does not lie in the folder of a backup instance.`)
    return
  }
  const known = await findKnownFolders(context.database, { instanceId, vaultId: opened.vaultId })
  const points = new Map(known.points.map((point) => [point.prefix, point]))
  const unknown = folders.filter(({ prefix }) => !points.has(prefix) && !known.pendingJobIds.has(jobIdOf(prefix)))
  const takenOverBefore = report.manifestsTakenOver
  await sideBySide(folders, { most: mostReadAtOnce, signal: run.signal }, async (folder) => {
    const point = points.get(folder.prefix)
    if (!point) return
    run.alive()
    report.alreadyKnown += 1
    if (!dryRun && (await takeOverRewrap(context, run, { opened, folder, point }))) {
      report.manifestsTakenOver += 1
      run.note('Keys of manifests taken over', String(report.manifestsTakenOver))
    }
  })
  if (report.manifestsTakenOver > takenOverBefore) await keepReport(run, report)
  for (const folder of await newestFirst(run, opened, unknown)) {
    run.signal.throwIfAborted()
    onFolder()
    const found = await readable(() => readFoundPoint(opened, folder))
    if (typeof found === 'string') refuse(folder, found)
    else if (dryRun) report.pointsImported += 1
    else {
      await run.confirm()
      const refusal = await recordFoundPoint(context, run, {
        opened,
        found,
        backupJobId: jobIdOf(folder.prefix),
        report,
      })
      if (refusal !== undefined) refuse(folder, refusal)
      await keepReport(run, report)
    }
  }
  if (!dryRun) await recordStrays(context, run, { ...input, unreadable })
}

/** What a vault holds beside its points is counted as for every instance, and told. */
async function recordStrays(
  context: WorkerContext,
  run: JobRun,
  { opened, instanceId, unreadable, onFolder }: ImportFolders & { unreadable: readonly PointFolder[] },
): Promise<void> {
  const { storage, vault } = opened
  if (!vault) return
  const [instance] = await findInstances(context.database, [instanceId])
  if (instance) {
    await compareWithVault(context, run, { instance, vault, storage, onFolder })
    return
  }
  const orphans = unreadable.map(({ prefix, objectCount, sizeBytes }) => {
    return { prefix, kind: 'BYTES_WITHOUT_ROW' as const, recoveryPointId: null, objectCount, sizeBytes }
  })
  const unnamed = { id: instanceId, name: instanceId }
  await recordOrphans(context.database, { vault, instance: unnamed, orphans, jobId: run.job.id, now: context.now() })
}

/** By what their headers say; those that say nothing come last. */
async function newestFirst(
  { signal, alive }: JobRun,
  { storage }: OpenedVault,
  folders: readonly PointFolder[],
): Promise<PointFolder[]> {
  const dated = await sideBySide(folders, { most: mostReadAtOnce, signal }, async (folder) => {
    alive()
    const header = folder.isWhole ? await readable(() => readPointHeader(storage, folder.prefix)) : ''
    return { folder, at: typeof header === 'string' ? -Infinity : Date.parse(header.createdAt) }
  })
  return dated.toSorted((one, other) => (other.at === one.at ? 0 : other.at - one.at)).map(({ folder }) => folder)
}

/** What was read, or the sentence that says why it cannot be: only what lies in the vault itself may be the reason. */
async function readable<Found extends object>(read: () => Promise<Found>): Promise<Found | string> {
  try {
    return await read()
  } catch (cause) {
    if (isAboutStored(cause)) return cause.message
    if (cause instanceof WorkFailed && cause.details !== null) return cause.details
    throw cause
  }
}
