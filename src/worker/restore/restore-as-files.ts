import { createWriteStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { JobRun, Outcome } from '../../job/handler.ts'
import type { FilesRequest, RestoreReport } from '../../restore/restore.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { artifactOf, type Manifest, type ManifestArtifact } from '../point/manifest.ts'
import { type OpenPoint, openPoint, readBytesOf } from '../point/read-point.ts'
import { pointOf } from '../subjects.ts'
import { storageFailure } from './file-failure.ts'
import { restoreText } from './restore-text.ts'

/**
 * Writes a point's databases as archives, with roles, manifest and instructions, into a directory that is absent or
 * empty. Everything is written beside it first; the directory appears whole, or not at all.
 */
export async function restoreAsFiles(context: WorkerContext, run: JobRun, request: FilesRequest): Promise<Outcome> {
  const { point, vault } = await pointOf(context, run.job)
  const directory = directoryOf(request)
  await removeUnfinishedFiles(run, request)
  const beside = besideOf(directory, run.job)
  await refuseOccupied(directory)
  const opened = await openPoint(context, { point, vault, signal: run.signal })
  try {
    await mkdir(beside, { mode: 0o700 })
    const files = await writeFiles(run, opened, request, beside)
    await run.confirm()
    await refuseOccupied(directory)
    // Renaming onto an empty directory replaces it; onto one that was filled meanwhile it fails.
    await rename(beside, directory)
    await syncDirectory(dirname(directory))
    return { kind: 'completed', result: reportOf(request, opened.manifest, files) }
  } catch (cause) {
    await rm(beside, { recursive: true, force: true }).catch((failure: Error) =>
      run.warn(`What was written to ${beside} could not be removed: ${failure.message}`),
    )
    throw storageFailure(cause, directory)
  }
}

/** Removes what earlier attempts of a restore as files left beside its directory. */
export async function removeUnfinishedFiles({ job }: JobRun, request: FilesRequest): Promise<void> {
  const directory = directoryOf(request)
  for (let attempt = 1; attempt < job.attempt; attempt++) {
    await rm(besideOf(directory, { id: job.id, attempt }), { recursive: true, force: true }).catch((cause) => {
      throw storageFailure(cause, directory)
    })
  }
}

/** Each attempt has its own: one that lost its job and wakes up late removes nothing of the attempt that took over. */
export function besideOf(directory: string, { id, attempt }: { id: string; attempt: number }): string {
  return join(dirname(directory), `.${basename(directory)}.restoring-${id}.${attempt}`)
}

function directoryOf({ target }: FilesRequest): string {
  if (target.kind === 'CONTAINER') throw new WorkFailed('GONE', 'This worker writes into directories alone.')
  return target.path
}

async function refuseOccupied(directory: string): Promise<void> {
  try {
    const entries = await readdir(directory)
    if (entries.length === 0) return
    const named = entries.slice(0, 5).join(', ')
    throw new WorkFailed('TARGET_NOT_EMPTY', `${directory} holds ${entries.length} entries already: ${named}.`)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOTDIR') {
      throw new WorkFailed('TARGET_NOT_EMPTY', `${directory} is not a directory.`)
    }
    throw cause instanceof WorkFailed ? cause : storageFailure(cause, directory)
  }
}

async function writeFiles(
  run: JobRun,
  opened: OpenPoint,
  { databases }: FilesRequest,
  folder: string,
): Promise<RestoreReport['files']> {
  const { manifest } = opened
  const chosen = manifest.artifacts.filter(
    ({ kind, database }) => kind === 'GLOBALS' || databases.includes(database ?? ''),
  )
  const bytesTotal = chosen.reduce((sum, artifact) => sum + readBytesOf(artifact), 0)
  let before = 0
  run.progress({ bytesDone: 0, bytesTotal })
  const written: { artifact: ManifestArtifact; name: string }[] = []
  for (const [index, artifact] of chosen.entries()) {
    const name = fileNameOf(artifact, index + 1)
    await run.subTask(`Write ${name}`, async (task) => {
      const plain = await opened.open(artifact, run.signal, (bytesDone) => {
        task.progress({ bytesDone, bytesTotal: readBytesOf(artifact) })
        run.progress({ bytesDone: before + bytesDone })
      })
      await pipeline(plain, createWriteStream(join(folder, name), { flags: 'wx', mode: 0o600, flush: true }))
    })
    before += readBytesOf(artifact)
    written.push({ artifact, name })
  }
  const manifestFile = JSON.stringify({ ...manifest, artifacts: written.map(fileFacts) }, null, 2)
  await writeFile(join(folder, 'manifest.json'), `${manifestFile}\n`, { flag: 'wx', mode: 0o600, flush: true })
  await writeFile(join(folder, 'RESTORE.md'), restoreText(manifest, written), { flag: 'wx', mode: 0o600, flush: true })
  await syncDirectory(folder)
  return written.map(({ artifact, name }) => ({ name, sizeBytes: artifact.digest.plainBytes }))
}

function fileFacts({ artifact, name }: { artifact: ManifestArtifact; name: string }) {
  const { kind, database, digest } = artifact
  return { file: name, kind, database, sizeBytes: digest.plainBytes, sha256: digest.plainSha256 }
}

/** A file name that any file system and shell takes; the manifest says which database it holds. */
function fileNameOf({ kind, database }: ManifestArtifact, position: number): string {
  if (kind === 'GLOBALS') return 'globals.sql'
  const plain = (database ?? '').replace(/[^A-Za-z0-9_]+/g, '-').replace(/^-+|-+$/g, '')
  return `${String(position).padStart(4, '0')}-${plain.slice(0, 60) || 'database'}.dump`
}

async function syncDirectory(path: string): Promise<void> {
  const folder = await open(path)
  await folder.sync().finally(() => folder.close())
}

function reportOf(request: FilesRequest, manifest: Manifest, files: RestoreReport['files']): RestoreReport {
  return {
    destination: directoryOf(request),
    databases: request.databases.map((name) => {
      const facts = manifest.databases.find(({ report }) => report.name === name)
      const tables = artifactOf(manifest, name) ? (facts?.tables ?? []) : []
      const rowCount = tables.reduce((sum, { rows }) => sum + rows, 0)
      return { name, targetName: name, tableCount: tables.length, rowCount }
    }),
    files,
    rolesCreated: [],
  }
}
