import { type FileHandle, mkdir, open, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type GrowingArchive, growArchive } from '../../engine/archive/growing-archive.ts'
import { isFull } from '../../storage/is-full.ts'
import type { ManifestArtifact } from '../point/manifest.ts'
import type { OpenPoint } from '../point/read-point.ts'

/** Left free beside what is spooled, so that nothing else on the disk runs out of space. */
const spareBytes = 64 * 1024 * 1024

export interface Spool {
  directory: string
  point: OpenPoint
  artifact: ManifestArtifact
  signal: AbortSignal
  /** Gets how many of the artifact's stored bytes have been compared with their digest. */
  onStoredBytes: (total: number) => void
  /** Hears that unpacking goes on, which shows in no number: what is restored of it does. */
  onLife: () => void
}

/**
 * Unpacks an archive into a file of the spool directory, to be restored from while it still comes: all of its stored bytes are
 * compared with their digest before the first plain one comes. Where reading them twice is dear it is unpacked at once instead, and
 * whole when this resolves. The file has no name, so that nothing is left of it however this process ends, and nobody else can open it;
 * disposing of the archive frees its space. Undefined when there is no room for it.
 */
export async function spoolArchive({
  directory,
  point,
  artifact,
  signal,
  onStoredBytes,
  onLife,
}: Spool): Promise<GrowingArchive | undefined> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  if ((await freeBytesOf(directory)) < artifact.digest.plainBytes + spareBytes) return undefined
  const { storedBytes } = artifact.digest
  const archive = growArchive(await openNameless(directory), async (sink, stopped) => {
    const either = AbortSignal.any([signal, stopped])
    if (point.isFar) return await point.extract(artifact, either, onStoredBytes, [sink])
    const onBytes = (total: number) => (total <= storedBytes ? onStoredBytes(total) : onLife())
    await pipeline(await point.open(artifact, either, onBytes), sink, { signal: stopped })
  })
  if (!point.isFar) return archive
  try {
    await archive.whole
    return archive
  } catch (cause) {
    await archive[Symbol.asyncDispose]()
    if (isFull(cause)) return undefined
    throw cause
  }
}

async function freeBytesOf(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

async function openNameless(directory: string): Promise<FileHandle> {
  const path = join(directory, crypto.randomUUID())
  const file = await open(path, 'wx+', 0o600)
  try {
    await unlink(path)
    return file
  } catch (cause) {
    await file.close()
    throw cause
  }
}
