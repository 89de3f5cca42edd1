import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Storage } from '../src/storage/contract.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { s3Storage } from '../src/storage/s3.ts'
import { startS3Process } from '../test/kit/s3-process.ts'
import { median, row } from './kit/report.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const megabytes = Number(process.env.BENCH_MEGABYTES ?? 1000)
const piece = randomBytes(1_000_000)

/**
 * How fast one object flows into a bucket beside a directory, in turns, and the memory of the process that writes. The
 * store is the tests' own in another process: it checks every signature and digest, and keeps no bytes.
 */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using store = await startS3Process()
    const bucket = s3Storage(store.location)
    const seconds: Record<'bucket' | 'directory', number[]> = { bucket: [], directory: [] }
    let mostBytes = 0
    for (let round = 0; round < rounds; round++) {
      const write = (storage: Storage) =>
        timed(storage, `object-${round}`, (bytes) => (mostBytes = Math.max(mostBytes, bytes)))
      seconds.bucket.push(await write(bucket))
      const directory = directoryStorage(folder)
      seconds.directory.push(await write(directory))
      await directory.remove(`object-${round}`)
    }
    for (const [kind, times] of Object.entries(seconds)) {
      const time = median(times)
      row(`${megabytes} MB into a ${kind}`, `${time.toFixed(2)} s, ${(megabytes / time).toFixed(0)} MB/s`)
    }
    row('most memory while writing', `${(mostBytes / 1e6).toFixed(0)} MB`)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function timed(storage: Storage, key: string, onMemory: (bytes: number) => void): Promise<number> {
  const start = performance.now()
  await storage.write(key, async (sink) => {
    for (let written = 0; written < megabytes; written++) {
      if (!sink.write(piece)) await once(sink, 'drain')
      onMemory(process.memoryUsage.rss())
    }
    sink.end()
  })
  return (performance.now() - start) / 1000
}

await main()
