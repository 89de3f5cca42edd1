import { randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect } from 'vitest'
import { isFull } from '../src/storage/is-full.ts'
import type { ManifestArtifact } from '../src/worker/point/manifest.ts'
import type { OpenPoint } from '../src/worker/point/read-point.ts'
import { spoolArchive } from '../src/worker/restore/spool.ts'
import { counted } from '../src/worker/streams.ts'
import { smallDisk } from './kit/small-disk.ts'
import { test } from './kit/test.ts'

const MiB = 1024 * 1024
const artifact: ManifestArtifact = {
  file: '0001.dump.age',
  kind: 'DATABASE',
  database: 'shop',
  compression: 'NONE',
  digest: { storedBytes: 10 * MiB, storedSha256: '', plainBytes: 10 * MiB, plainSha256: '' },
  baseArtifact: null,
}

/** A point whose bytes come from nowhere; `calls` tells what was asked of it, in order. */
function pointOf(isFar: boolean, compare: () => Promise<void> = async () => {}) {
  const calls: string[] = []
  const bytes = () => Readable.from(Array.from({ length: 10 }, () => randomBytes(MiB)))
  const point = {
    isFar,
    async open(_artifact, _signal, onBytes) {
      await compare()
      onBytes(10 * MiB)
      calls.push('compared')
      return counted(bytes(), (total) => onBytes(10 * MiB + total))
    },
    async extract(_artifact, stopped, _onBytes, [sink]) {
      await pipeline(bytes(), sink, { signal: stopped })
      calls.push('extracted')
    },
  } satisfies Partial<OpenPoint>
  // The spool asks nothing else of a point.
  return { point: point as unknown as OpenPoint, calls }
}

const signal = new AbortController().signal
const onStoredBytes = () => {}
const onLife = () => {}

describe('The spool', () => {
  test('gets an archive whose stored bytes were compared before, and gives it out while it comes', async ({
    folder,
  }) => {
    const { point, calls } = pointOf(false)
    await using archive = await spoolArchive({ directory: folder, point, artifact, signal, onStoredBytes, onLife })
    expect(calls).toEqual(['compared'])
    await archive?.whole
    expect(await archive?.file.stat()).toMatchObject({ size: 10 * MiB, nlink: 0 })
    expect(await readdir(folder)).toEqual([])
  })

  test('tells how far comparing is, and of unpacking that it goes on', async ({ folder }) => {
    const { point } = pointOf(false)
    const heard: (number | 'alive')[] = []
    const how = { directory: folder, point, artifact, signal }
    await using archive = await spoolArchive({
      ...how,
      onStoredBytes: (total) => void heard.push(total),
      onLife: () => void heard.push('alive'),
    })
    await archive?.whole
    expect(heard).toEqual([10 * MiB, ...Array.from({ length: 10 }, () => 'alive')])
  })

  test('reads what lies far away once, and gives it out when it is whole', async ({ folder }) => {
    const { point, calls } = pointOf(true)
    await using archive = await spoolArchive({ directory: folder, point, artifact, signal, onStoredBytes, onLife })
    expect(calls).toEqual(['extracted'])
    expect(await archive?.file.stat()).toMatchObject({ size: 10 * MiB })
  })

  test.runIf(process.getuid?.() === 0)(
    'says so when it has no room, and when another has taken it meanwhile',
    async ({ folder }) => {
      await using disk = await smallDisk(folder, 80)
      const how = { directory: disk.path, artifact, signal, onStoredBytes, onLife }
      const takeRoom = () => writeFile(join(disk.path, 'another'), randomBytes(75 * MiB))
      await using archive = await spoolArchive({ ...how, point: pointOf(false, takeRoom).point })
      await expect(archive?.whole.catch((cause: unknown) => isFull(cause))).resolves.toBe(true)
      expect(await spoolArchive({ ...how, point: pointOf(false).point })).toBeUndefined()
    },
  )
})
