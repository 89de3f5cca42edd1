import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ArchivePart } from '../../../engine/archive/archive-part.ts'
import { chooseRestoreTools } from '../../../engine/choose-tools.ts'
import { findTools, type Toolset } from '../../../engine/find-tools.ts'
import { createStatements } from '../../../engine/plain/create-statements.ts'
import { writePlain } from '../../../engine/plain/write-plain.ts'
import type { JobRun, SubTaskRun } from '../../../job/handler.ts'
import type { FilesRequest } from '../../../restore/restore.ts'
import type { FileSet } from '../../../storage/file-set.ts'
import type { WorkerContext } from '../../context.ts'
import type { ManifestArtifact } from '../../point/manifest.ts'
import { type OpenPoint, readBytesOf } from '../../point/read-point.ts'
import { sideBySide } from '../../side-by-side.ts'
import { isRead } from '../checks/check-artifacts.ts'
import { fileNamesOf } from './file-names.ts'
import type { SetFile } from './set-manifest.ts'
import { writeFile, writeText } from './write-file.ts'
import { writeGlobals } from './write-globals.ts'

/** Each holds up to 100 MB of a bucket's parts and of the archive; more of them are no faster on one disk or network. */
const mostAtOnce = 2

export interface WrittenDatabases {
  files: SetFile[]
  /** The tables of the part that was asked for; undefined when databases are whole. */
  partTables: { schema: string; name: string }[] | undefined
  /** What could not come with the part, a sentence each. */
  omitted: string[]
}

interface Writing {
  run: JobRun
  point: OpenPoint
  request: FilesRequest
  set: FileSet
  /** Null when archives are written as they are. */
  tools: Toolset | null
}

/** Writes the databases of a request, and roles and tablespaces, into a set: two at a time, each as a sub task. */
export async function writeDatabases(
  context: WorkerContext,
  run: JobRun,
  { point, request, set }: Pick<Writing, 'point' | 'request' | 'set'>,
): Promise<WrittenDatabases> {
  const { manifest } = point
  const chosen = manifest.artifacts.filter((artifact) => isRead(artifact, request))
  const writing: Writing = { run, point, request, set, tools: await toolsFor(context, run, { point, request }) }
  const progress = totalProgress(run, chosen)
  const written = await sideBySide(
    [...chosen.entries()],
    { most: mostAtOnce, signal: run.signal },
    async (entry, signal) => {
      const [index, artifact] = entry
      const names = fileNamesOf(artifact, index + 1, request.format)
      return run.subTask(`Write ${names.file}`, async (task) => {
        const onBytes = (bytesDone: number) => progress.of(artifact, bytesDone, task)
        return artifact.kind === 'GLOBALS'
          ? whole([await writeGlobals(run, { point, artifact, set, signal, onBytes })])
          : writeDatabase(writing, { artifact, names, signal, onBytes })
      })
    },
  )
  return {
    files: written.flatMap(({ files }) => files),
    partTables: written.find(({ partTables }) => partTables !== undefined)?.partTables,
    omitted: written.flatMap(({ omitted }) => omitted),
  }
}

function whole(files: SetFile[]): WrittenDatabases {
  return { files, partTables: undefined, omitted: [] }
}

interface OneDatabase {
  artifact: ManifestArtifact
  names: { file: string; create: string }
  signal: AbortSignal
  onBytes: (bytes: number) => void
}

async function writeDatabase(writing: Writing, one: OneDatabase): Promise<WrittenDatabases> {
  const { run, point, request, set, tools } = writing
  const { artifact, names, signal } = one
  const { database } = artifact
  const facts = point.manifest.databases.find(({ report }) => report.name === database)
  const source = await point.open(artifact, signal, one.onBytes)
  try {
    if (!tools || !facts) {
      const archive = await writeFile(set, names.file, (sink) => pipeline(source, sink, { signal }), signal)
      return whole([{ ...archive, kind: 'DATABASE', database }])
    }
    let chosen: ArchivePart | undefined
    const omitsTablespaces = facts.report.tablespaces.length > 0
    const part = request.part ?? undefined
    const fill = async (sink: Writable) => {
      chosen = await writePlain(source, { tools, part, omitsTablespaces, sink, signal })
      for (const sentence of chosen?.leftOut ?? []) run.warn(sentence)
    }
    const plain = await writeFile(set, names.file, fill, signal)
    const files: SetFile[] = [{ ...plain, kind: 'DATABASE', database }]
    // Every server has that one already.
    if (database !== 'postgres') {
      const statements = createStatements(facts.report, point.manifest.server.versionNumber)
      files.unshift({ ...(await writeText(set, names.create, statements, signal)), kind: 'CREATE', database })
    }
    return { files, partTables: chosen?.tables, omitted: chosen?.leftOut ?? [] }
  } finally {
    // Not read at all when the file could not be begun.
    source.destroy()
  }
}

async function toolsFor(
  { postgresDirectories }: WorkerContext,
  run: JobRun,
  { point: { manifest }, request }: Pick<Writing, 'point' | 'request'>,
): Promise<Toolset | null> {
  if (request.format === 'CUSTOM') return null
  const { tools, reason } = chooseRestoreTools(await findTools({ extraDirectories: postgresDirectories }), {
    archiveToolMajor: manifest.tools.major,
    targetVersionNumber: manifest.server.versionNumber,
  })
  run.note('PostgreSQL tools', reason)
  return tools
}

/** Progress in bytes read and checked, of several artifacts at once. */
function totalProgress(run: JobRun, artifacts: readonly ManifestArtifact[]) {
  const bytesTotal = artifacts.reduce((sum, artifact) => sum + readBytesOf(artifact), 0)
  const done = new Map<ManifestArtifact, number>()
  let bytesDone = 0
  run.progress({ bytesDone, bytesTotal })
  return {
    of: (artifact: ManifestArtifact, bytes: number, task: SubTaskRun) => {
      bytesDone += bytes - (done.get(artifact) ?? 0)
      done.set(artifact, bytes)
      task.progress({ bytesDone: bytes, bytesTotal: readBytesOf(artifact) })
      run.progress({ bytesDone })
    },
  }
}
