import type { Readable, Writable } from 'node:stream'

/** The signal's reason as an error, whatever was given to abort(). */
export function abortError(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('Aborted', { cause: signal.reason })
}

/** Destroys a stream with the signal's reason as soon as it aborts. */
export function destroyOnAbort(stream: Readable | Writable, signal: AbortSignal | undefined): void {
  if (!signal) return
  const stop = () => stream.destroy(abortError(signal))
  if (signal.aborted) return void stop()
  signal.addEventListener('abort', stop, { once: true })
  stream.once('close', () => signal.removeEventListener('abort', stop))
}

/** Waits for the work, but not beyond an abort: then the sink is destroyed and the work's own end is of no interest. */
export async function unlessAborted(
  work: Promise<void>,
  sink: Writable,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!signal) return work
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const stop = () => {
    sink.destroy(abortError(signal))
    reject(abortError(signal))
  }
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
