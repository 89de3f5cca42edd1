import { type FileHandle, mkdir, open, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { indexArchive } from '../../engine/archive/archive-index.ts'
import type { ManifestArtifact } from '../point/manifest.ts'
import type { OpenPoint } from '../point/read-point.ts'
import { intoFile } from '../streams.ts'

/** Left free beside what is spooled, so that nothing else on the disk runs out of space. */
const spareBytes = 64 * 1024 * 1024

export interface Spool {
  directory: string
  point: OpenPoint
  artifact: ManifestArtifact
  signal: AbortSignal
  /** Gets how many of the artifact's stored bytes have been read. */
  onStoredBytes: (total: number) => void
}

/**
 * Unpacks an archive into a file of the spool directory and answers the file once every digest is right; closing it frees
 * its space. It has no name, so that nothing is left of it however this process ends, and nobody else can open it.
 * Undefined when there is no room for it.
 */
export async function spoolArchive({
  directory,
  point,
  artifact,
  signal,
  onStoredBytes,
}: Spool): Promise<FileHandle | undefined> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  if ((await freeBytesOf(directory)) < artifact.digest.plainBytes + spareBytes) return undefined
  const file = await openNameless(directory)
  try {
    const index = indexArchive()
    await point.extract(artifact, signal, onStoredBytes, [index.stream, intoFile(file)])
    await index.writeInto(file)
    return file
  } catch (cause) {
    await file.close()
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT'))
      return undefined
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
