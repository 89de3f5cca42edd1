import type { ServerAddress } from '../../engine/address.ts'
import { compareRows, rowsOfPart } from '../../engine/compare-rows.ts'
import type { TableRows } from '../../engine/count-rows.ts'
import type { Toolset } from '../../engine/find-tools.ts'
import type { Filling } from '../../engine/loading/filling.ts'
import { type StagedDatabase, stageRestore } from '../../engine/stage-restore.ts'
import type { JobRun, SubTaskRun } from '../../job/handler.ts'
import type { DatabaseMapping, RestoreDifference, ServerRequest } from '../../restore/restore.ts'
import { isFull } from '../../storage/is-full.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { artifactOf, type Manifest, type ManifestArtifact } from '../point/manifest.ts'
import { type OpenPoint, readBytesOf } from '../point/read-point.ts'
import { tokenOf } from './earlier-attempts.ts'
import { spoolArchive } from './spool.ts'

export interface Stage {
  context: WorkerContext
  run: JobRun
  opened: OpenPoint
  address: ServerAddress
  tools: Toolset
  request: ServerRequest
  /** Gets every staged database, so that all are dropped unless they are published. */
  staged: AsyncDisposableStack
}

export interface RestoredDatabase {
  mapping: DatabaseMapping
  database: StagedDatabase
  differences: RestoreDifference[]
}

/** Restores the databases one after the other, each under a temporary name, and compares their rows; ends with the first that differs. */
export async function stageAll(stage: Stage): Promise<RestoredDatabase[]> {
  const { run, opened, request, staged } = stage
  const sizes = request.databases.map(({ name }) => sizeOf(opened.manifest, name))
  run.progress({ bytesDone: 0, bytesTotal: sizes.reduce((sum, size) => sum + size, 0) })
  const databases: RestoredDatabase[] = []
  let before = 0
  for (const [index, mapping] of request.databases.entries()) {
    const bytesTotal = sizes[index] ?? 0
    const onBytes = (task: SubTaskRun) => (bytesDone: number) => {
      task.progress({ bytesDone, bytesTotal })
      run.progress({ bytesDone: before + bytesDone })
    }
    const database = await run.subTask(`Restore ${JSON.stringify(mapping.name)}`, async (task) => {
      const restored = await stageOne(stage, mapping, index, onBytes(task))
      onBytes(task)(bytesTotal)
      return restored
    })
    before += bytesTotal
    const differences = differencesOf(opened.manifest, mapping, database)
    databases.push({ mapping, database: staged.use(database), differences })
    for (const text of [...database.warnings, ...database.omitted]) {
      run.warn(`${JSON.stringify(mapping.targetName)}: ${text}`)
    }
    if (differences.length > 0) break
  }
  return databases
}

function sizeOf(manifest: Manifest, name: string): number {
  const artifact = artifactOf(manifest, name)
  return artifact ? readBytesOf(artifact) : 0
}

async function stageOne(
  stage: Stage,
  { name, targetName }: DatabaseMapping,
  index: number,
  onBytes: (total: number) => void,
): Promise<StagedDatabase> {
  const { run, opened, address, tools, request } = stage
  const artifact = artifactOf(opened.manifest, name)
  const described = opened.manifest.databases.find(({ report }) => report.name === name)
  if (!artifact || !described) {
    throw new WorkFailed('GONE', `The recovery point holds no database ${JSON.stringify(name)}.`)
  }
  const restore = (archive: Filling['archive'], onCopied: (bytes: number) => void) =>
    stageRestore(address, {
      archive,
      source: described.report,
      targetName,
      token: tokenOf(run, `${run.job.attempt}_${index}`),
      tools,
      ownership: request.ownership.kind === 'TO_ROLE' ? { role: request.ownership.role } : request.ownership.kind,
      part: request.part ?? undefined,
      signal: run.signal,
      onLife(copiedBytes) {
        run.alive()
        onCopied(copiedBytes)
      },
    })
  const spooled = await restoreSpooled(stage, { artifact, tables: described.tables, onBytes, restore })
  return spooled ?? restore(await opened.open(artifact, run.signal, onBytes), () => {})
}

interface FromSpool {
  artifact: ManifestArtifact
  tables: readonly TableRows[]
  onBytes: (total: number) => void
  restore: (archive: Filling['archive'], onCopied: (bytes: number) => void) => Promise<StagedDatabase>
}

/**
 * Several connections need a file that they can seek in. Undefined where there is to be one connection, and where there is no room
 * for the file: then one reads the archive as it comes.
 */
async function restoreSpooled(
  { context, run, opened }: Stage,
  { artifact, tables, onBytes, restore }: FromSpool,
): Promise<StagedDatabase | undefined> {
  const { restoreJobs: jobs, spoolDirectory: directory } = context
  if (jobs === 1) return undefined
  const { storedBytes, plainBytes } = artifact.digest
  try {
    const telling = { onStoredBytes: onBytes, onLife: () => run.alive() }
    await using archive = await spoolArchive({ directory, point: opened, artifact, signal: run.signal, ...telling })
    let copied = 0
    if (archive) {
      return await restore({ archive, jobs, tables }, (bytes) => {
        copied += bytes
        onBytes(storedBytes + Math.min(copied, plainBytes))
      })
    }
  } catch (cause) {
    if (!isFull(cause)) throw cause
  }
  run.note(
    'Spool',
    `${directory} has no room for the ${plainBytes} bytes of ${artifact.database}: one connection restores it`,
  )
  return undefined
}

function differencesOf(
  manifest: Manifest,
  { name }: DatabaseMapping,
  { rows, part }: StagedDatabase,
): RestoreDifference[] {
  const expected = manifest.databases.find(({ report }) => report.name === name)
  if (!expected) return []
  const wanted = part ? rowsOfPart(expected, part.tables) : expected
  return compareRows(wanted, rows).map((difference) => ({ database: name, ...difference }))
}
