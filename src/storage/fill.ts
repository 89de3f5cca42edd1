import type { Writable } from 'node:stream'
import { StorageError } from './storage-error.ts'

/**
 * Lets `fill` write into a sink and waits until both are done: `fill`, and what the sink `flows` into.
 * The sink is ended when `fill` resolves and did not end it itself. Of two failures the one that explains
 * the other is thrown: the storage's own before that of a `fill` whose sink broke, else that of `fill`.
 */
export async function fillSink<Sink extends Writable>(
  sink: Sink,
  fill: (sink: Sink) => Promise<void>,
  flows: Promise<void>,
): Promise<void> {
  const filling = (async () => {
    try {
      await fill(sink)
      if (sink.destroyed && !sink.writableEnded)
        throw new StorageError('STORAGE_FAILED', 'sink', 'The stream to the vault was cut off before its end.')
      if (!sink.writableEnded) sink.end()
    } catch (error) {
      sink.destroy(error instanceof Error ? error : new Error(String(error)))
      throw error
    }
  })()
  const [filled, flowed] = await Promise.allSettled([filling, flows])
  if (flowed.status === 'rejected' && flowed.reason instanceof StorageError) throw flowed.reason
  if (filled.status === 'rejected') throw filled.reason
  if (flowed.status === 'rejected') throw flowed.reason
}
