import type { Readable, Writable } from 'node:stream'
import { passOn, spent } from '../spent-bytes.ts'
import type { ProgramEnd } from './classify.ts'

/** Moves all bytes of a source into a sink at the sink's pace, without ending the sink. Fails when either fails. */
export async function pump(source: Readable, sink: Writable, signal: AbortSignal): Promise<void> {
  const end = () => source.destroy()
  signal.addEventListener('abort', end)
  try {
    for await (const chunk of source) {
      if (signal.aborted) break
      await write(sink, passOn(chunk), signal)
    }
    signal.throwIfAborted()
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/**
 * Feeds a source to a program and reads the source to its very end, also when the program had enough earlier: a
 * source may only tell at its end that it was damaged. Resolves early when the program failed, also while the source
 * has nothing to give.
 */
export async function feed(
  source: Readable,
  stdin: Writable,
  ended: Promise<ProgramEnd>,
  { signal, onInput }: { signal: AbortSignal; onInput?: ((bytes: number) => void) | undefined },
): Promise<void> {
  const { next, leave } = leavable(source)
  const end = () => {
    source.destroy(signal.reason instanceof Error ? signal.reason : undefined)
    leave()
  }
  let hasFailed = false
  const fail = () => {
    hasFailed = true
    leave()
  }
  ended.then(({ exitCode }) => exitCode !== 0 && fail(), fail)
  signal.addEventListener('abort', end)
  // A program that ends before it has read everything is judged by its exit code.
  stdin.on('error', () => {})
  try {
    for (let chunk = await next(); chunk; chunk = await next()) {
      onInput?.(chunk.length)
      if (!stdin.destroyed)
        await write(stdin, chunk, signal, spent).catch((error) => signal.aborted && Promise.reject(error))
    }
    signal.throwIfAborted()
    if (!hasFailed) stdin.end()
  } finally {
    signal.removeEventListener('abort', end)
    source.destroy()
    if (signal.aborted) stdin.destroy()
  }
}

/**
 * A source's pieces, one by one, undefined at its end. Once it is left that is the answer at once, although the source
 * may be waiting: a generator cannot be ended before it has come by its next piece.
 */
function leavable(source: Readable): { next: () => Promise<Buffer | undefined>; leave: () => void } {
  const pieces: AsyncIterator<Buffer, undefined> = source[Symbol.asyncIterator]()
  let hasLeft = false
  let goOn = () => {}
  return {
    next: () =>
      new Promise((resolve, reject) => {
        if (hasLeft) return resolve(undefined)
        goOn = () => resolve(undefined)
        pieces.next().then(({ value }) => resolve(value), reject)
      }),
    leave() {
      hasLeft = true
      goOn()
    },
  }
}

/** `onWritten` hears of the chunk once the sink is done with it. */
async function write(
  sink: Writable,
  chunk: Buffer,
  signal: AbortSignal,
  onWritten?: (chunk: Buffer) => void,
): Promise<void> {
  if (sink.errored) throw sink.errored
  if (sink.destroyed || sink.writableEnded) throw new Error('The stream written to was closed.')
  const isReady = onWritten ? sink.write(chunk, (error) => error ?? onWritten(chunk)) : sink.write(chunk)
  if (!isReady) await drained(sink, signal)
}

// Called for most pieces of a long stream: listeners are cheaper than signals made of signals, and leave nothing behind.
function drained(sink: Writable, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onDrain = () => resolve()
  const onClose = () => reject(sink.errored ?? new Error('The stream written to was closed.'))
  const onAbort = () => reject(signal.reason)
  sink.once('drain', onDrain)
  sink.once('close', onClose)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  return promise.finally(() => {
    sink.off('drain', onDrain)
    sink.off('close', onClose)
    signal.removeEventListener('abort', onAbort)
  })
}
