import type { Readable } from 'node:stream'
import type { ServerAddress } from '../../engine/address.ts'
import { compareRows, rowsOfPart } from '../../engine/compare-rows.ts'
import type { ArchiveFile } from '../../engine/fill-database.ts'
import type { Toolset } from '../../engine/find-tools.ts'
import { type StagedDatabase, stageRestore } from '../../engine/stage-restore.ts'
import type { JobRun, SubTaskRun } from '../../job/handler.ts'
import type { DatabaseMapping, RestoreDifference, ServerRequest } from '../../restore/restore.ts'
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
  const source = opened.manifest.databases.find(({ report }) => report.name === name)?.report
  if (!artifact || !source) {
    throw new WorkFailed('GONE', `The recovery point holds no database ${JSON.stringify(name)}.`)
  }
  const { ownership } = request
  const archive = await archiveFor(stage, artifact, onBytes)
  const { storedBytes, plainBytes } = artifact.digest
  let copied = 0
  try {
    return await stageRestore(address, {
      archive,
      source,
      targetName,
      token: tokenOf(run, `${run.job.attempt}_${index}`),
      tools,
      ownership: ownership.kind === 'TO_ROLE' ? { role: ownership.role } : ownership.kind,
      part: request.part ?? undefined,
      signal: run.signal,
      onLife(copiedBytes) {
        run.alive()
        copied += copiedBytes
        if ('file' in archive) onBytes(storedBytes + Math.min(copied, plainBytes))
      },
    })
  } finally {
    if ('file' in archive) await archive.file.close()
  }
}

/** Several connections need a file that they can seek in; without room for it, one of them reads the archive as it comes. */
async function archiveFor(
  { context, run, opened }: Stage,
  artifact: ManifestArtifact,
  onBytes: (total: number) => void,
): Promise<Readable | ArchiveFile> {
  const { restoreJobs: jobs, spoolDirectory: directory } = context
  const { signal } = run
  if (jobs > 1) {
    const file = await spoolArchive({ directory, point: opened, artifact, signal, onStoredBytes: onBytes })
    if (file) return { file, jobs }
    const size = `${artifact.digest.plainBytes} bytes`
    run.note('Spool', `${directory} has no room for the ${size} of ${artifact.database}: one connection restores it`)
  }
  return opened.open(artifact, signal, onBytes)
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
