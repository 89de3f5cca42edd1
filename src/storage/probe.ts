import { randomBytes, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { Storage } from './contract.ts'
import { StorageError } from './storage-error.ts'

/** Begins the key of every probe's object, and perhaps those of things that are nobody's but the operator's. */
export const probePrefix = 'probe-'

const longestProbeMs = 24 * 60 * 60_000
/** With the moment when it was made, in ms; version 0.3 and older did not say it. */
const probeKey = /^probe-(?:(\d{13})\.)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** A place may hold any number of things whose keys begin alike: no more are looked at. */
const mostLookedAt = 1000

/** The key of a new probe's object, which says when it was made. */
export function newProbeKey(): string {
  return `${probePrefix}${Date.now()}.${randomUUID()}`
}

/**
 * Removes what probes have left whose workers were lost, of the keys in a place's root, and nothing else: a storage account
 * may hold whatever its operator likes. What cannot be listed or removed stays: it is in nobody's way, and no place is
 * refused for it.
 */
export async function sweepProbes(storage: Pick<Storage, 'remove'>, keys: AsyncIterable<string>): Promise<void> {
  try {
    let lookedAt = 0
    for await (const key of keys) {
      if (isLostProbe(key)) await storage.remove(key)
      lookedAt += 1
      if (lookedAt === mostLookedAt) return
    }
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause
  }
}

/** Whether a key is that of a probe's object, to the letter. */
export function isProbeKey(key: string): boolean {
  return probeKey.test(key)
}

/** Whether nobody removes that probe's object any more; those of older versions do not say when they were made. */
function isLostProbe(key: string): boolean {
  const found = probeKey.exec(key)
  if (!found) return false
  const [, madeAt] = found
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
