import { randomBytes, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { Storage } from './contract.ts'
import { StorageError } from './storage-error.ts'

/** Begins the key of every probe's object. */
export const probePrefix = 'probe-'

const longestProbeMs = 24 * 60 * 60_000

/** The key of a new probe's object, which says when it was made. */
export function newProbeKey(): string {
  return `${probePrefix}${Date.now()}.${randomUUID()}`
}

/**
 * Removes what probes have left whose workers were lost, of the keys in a place's root. What cannot be listed or removed
 * stays: it is in nobody's way, and no place is refused for it.
 */
export async function sweepProbes(storage: Pick<Storage, 'remove'>, keys: AsyncIterable<string>): Promise<void> {
  try {
    for await (const key of keys) if (isLostProbe(key)) await storage.remove(key)
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause
  }
}

/** Whether nobody removes that probe's object any more; those of older versions do not say when they were made. */
function isLostProbe(key: string): boolean {
  if (!key.startsWith(probePrefix)) return false
  const [, madeAt] = /^(\d+)\./.exec(key.slice(probePrefix.length)) ?? []
  return madeAt === undefined || Date.now() - Number(madeAt) > longestProbeMs
}

/** Writes, reads back, compares and removes a small object. Throws what the storage throws, and leaves nothing. */
export async function probeStorage(storage: Storage): Promise<void> {
  const key = newProbeKey()
  const written = randomBytes(4096)
  await storage.write(key, async (sink) => void sink.end(written))
  try {
    const read = await buffer(await storage.read(key))
    if (read.equals(written)) return
    const message = `The ${storage.description} answers other bytes than were written.`
    throw new StorageError('STORAGE_FAILED', storage.description, message)
  } finally {
    await storage.remove(key)
  }
}
