import { randomBytes, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { Storage } from './contract.ts'
import { StorageError } from './storage-error.ts'

/** Begins the key of every probe's object. */
export const probePrefix = 'probe-'

/** Writes, reads back, compares and removes a small object. Throws what the storage throws, and leaves nothing. */
export async function probeStorage(storage: Storage): Promise<void> {
  const key = probePrefix + randomUUID()
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
