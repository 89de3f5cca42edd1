import { randomBytes } from 'node:crypto'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'vitest'
import { runProgram } from '../src/engine/run-program.ts'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { passOn, spent } from '../src/spent-bytes.ts'
import { openArtifact, readBackArtifact, writeArtifact } from '../src/storage/artifact.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { forget } from '../src/storage/forget.ts'
import { proveArtifact } from '../src/storage/prove-artifact.ts'
import { drain } from '../src/worker/streams.ts'
import { test } from './kit/test.ts'

const MiB = 1024 * 1024

test('the memory of a buffer that was passed on is given back when all of its pieces are spent', () => {
  const before = process.memoryUsage().arrayBuffers
  const bytes = passOn(Buffer.alloc(8 * MiB, 'x'))
  const pieces = [bytes.subarray(0, MiB), bytes.subarray(MiB, 5 * MiB), bytes.subarray(5 * MiB)]
  for (const piece of pieces.slice(0, 2)) {
    spent(piece)
    expect(bytes.length).toBe(8 * MiB)
    expect(bytes.every((byte) => byte === 0x78)).toBe(true)
  }
  for (const piece of pieces.slice(2)) spent(piece)
  expect(bytes.length).toBe(0)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MiB)
})

test('bytes that were not passed on, and those of a pool, are nobody’s to give back', () => {
  const own = Buffer.alloc(MiB)
  spent(own)
  expect(own.length).toBe(MiB)
  // Where the pool ends, another one begins: one of these begins with it.
  for (let round = 0; round < 1000; round++) {
    const [pooled, neighbour] = [Buffer.from('pooled'), Buffer.from('neighbour')]
    spent(passOn(pooled))
    expect(`${pooled} ${neighbour}`).toBe('pooled neighbour')
  }
  const shared = Buffer.from(new SharedArrayBuffer(MiB))
  spent(passOn(shared))
  expect(shared.length).toBe(MiB)
})

test('a view that does not begin with its memory is left alone: something else may lie before it', () => {
  const whole = Buffer.alloc(2 * MiB)
  spent(passOn(whole.subarray(MiB)))
  expect(whole.length).toBe(2 * MiB)
})

test('long streams into a vault and out of it leave the garbage collector next to nothing to do', async ({
  folder,
}) => {
  const { identity, recipient } = generateIdentity()
  const storage = directoryStorage(folder)
  const plain = randomBytes(MiB)
  const key = 'points/one/0001.dump.age'
  const signal = new AbortController().signal
  const compression = 'ZSTD'
  const few = 4
  /** How often the garbage collector goes through all there is while something is done. */
  const collectionsIn = async (work: () => Promise<void>): Promise<number> => {
    const entries: PerformanceEntry[] = []
    const observer = new PerformanceObserver((list) => void entries.push(...list.getEntries()))
    observer.observe({ entryTypes: ['gc'] })
    await work()
    await setImmediate()
    entries.push(...observer.takeRecords())
    observer.disconnect()
    return entries.filter((entry) => Object(entry).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR).length
  }
  /** The same of the best of three: the collector also runs for what the machine and earlier tests are the reason of. */
  const fewestCollectionsIn = async (work: () => Promise<void>): Promise<number> => {
    let fewest = Infinity
    for (let time = 0; time < 3 && fewest >= few; time++) fewest = Math.min(fewest, await collectionsIn(work))
    return fewest
  }
  const digest = await writeArtifact(storage, key, { recipients: [recipient], compression }, (sink) =>
    pipeline(Readable.from(Array.from({ length: 256 }, () => plain)), sink),
  )
  const how = { identity, compression, digest } as const
  const ways = {
    'read back': () => readBackArtifact(storage, key, digest),
    prove: () => proveArtifact(storage, key, how, drain),
    open: async () => drain(await openArtifact(storage, key, how)),
    'feed a program': () =>
      proveArtifact(storage, key, how, async (stdin) => {
        const program = { program: '/usr/bin/tail', args: ['-c', '1'], environment: {} }
        await runProgram({ ...program, stdin, signal, sink: forget() })
      }),
    'take from a program': async () => {
      const options = { recipients: [recipient], compression: 'NONE' } as const
      await writeArtifact(storage, 'points/one/0002.dump.age', options, async (sink) => {
        const args = ['-c', `${256 * MiB}`, '/dev/zero']
        await runProgram({ program: '/usr/bin/head', args, environment: {}, sink, signal })
      })
    },
  }
  // Left to the collector, each of these takes six of its rounds at least, every time, most of them fifteen.
  for (const [way, work] of Object.entries(ways)) expect(await fewestCollectionsIn(work), way).toBeLessThan(few)
})
