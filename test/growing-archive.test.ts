import { execFile } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import { type GrowingArchive, growArchive } from '../src/engine/archive/growing-archive.ts'
import { readToc } from '../src/engine/archive/read-toc.ts'
import { addressOf, archiveOf, createDatabase, installedTools, streamOf } from './kit/engine.ts'
import { test } from './kit/test.ts'

const run = promisify(execFile)

const contents = `
  create table "a
b" as select i, md5(i::text) from generate_series(1, 3000) i;
  create table empty (); create table wide as select repeat('x', 70000) as t from generate_series(1, 30);
  select lo_from_bytea(0, decode(repeat('00ff', 50000), 'hex')) from generate_series(1, 4);
  create table last as select i from generate_series(1, 10) i`

describe('The table of contents of an archive', () => {
  test('is read as pg_restore reads it, entry by entry', async ({ source, folder }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    const path = join(folder, 'whole')
    await using file = await open(path, 'w')
    await file.write(bytes)
    const { directory } = await installedTools()
    const { stdout } = await run(join(directory, 'pg_restore'), ['--list', path])
    const listed = [...stdout.matchAll(/^(\d+); /gm)].map(([, id]) => Number(id))
    const read = readToc(bytes)?.entries ?? []
    // What sets up a session is restored always, and not listed.
    const shown = read.filter(({ kind }) => !['ENCODING', 'STDSTRINGS', 'SEARCHPATH', 'DATABASE'].includes(kind))
    expect(shown.map(({ dumpId }) => dumpId)).toEqual(expect.arrayContaining(listed))
    expect(listed).toEqual(expect.arrayContaining(shown.map(({ dumpId }) => dumpId)))
    expect(read).toContainEqual(expect.objectContaining({ kind: 'TABLE', schema: 'public', name: 'a\nb' }))
  })

  test('gets the places of its data exactly as a pg_dump into a file writes them', async ({ source, folder }) => {
    const database = await createDatabase(source, contents)
    const { directory } = await installedTools()
    const { host, port, username, password } = addressOf(source)
    const environment = {
      PGPASSWORD: password,
      PGDATABASE: database,
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: username,
    }
    const path = join(folder, 'by pg_dump')
    await run(join(directory, 'pg_dump'), ['--format=custom', '--compress=0', `--file=${path}`], { env: environment })
    await using file = await open(path, 'r+')
    const expected = await file.readFile()
    const toc = readToc(expected)
    if (!toc) throw new Error('no table of contents')
    const unknown = Buffer.from(expected)
    const places: number[] = []
    for (const { offsetAt } of toc.entries) {
      // 1: not known, as when it was written to a pipe; 3: the entry has no data.
      if (unknown[offsetAt] !== 2) continue
      unknown.fill(0, offsetAt, offsetAt + 1 + toc.offsetBytes)
      unknown.writeUInt8(1, offsetAt)
      places.push(offsetAt)
    }
    expect(places.length).toBeGreaterThanOrEqual(5)
    for (const pieceBytes of [1 << 20, 4099, 61]) {
      await using archive = await grow(join(folder, `copy ${pieceBytes}`), streamOf(unknown, pieceBytes))
      await archive.whole
      expect(Buffer.compare(await contentOf(archive), expected)).toBe(0)
    }
  })

  test('is left alone when what follows is not laid out as expected', async ({ source, folder }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    const odd = Buffer.from(bytes)
    odd.writeUInt8(9, readToc(bytes)?.sizeBytes ?? 0)
    await using archive = await grow(join(folder, 'odd'), streamOf(odd))
    await archive.whole
    expect(Buffer.compare(await contentOf(archive), odd)).toBe(0)
    expect(await archive.toc()).toBeUndefined()
  })
})

describe('The data of an archive', () => {
  test('come block by block as they are in it', async ({ source, folder }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    for (const pieceBytes of [1 << 20, 4099, 61]) {
      await using archive = await grow(join(folder, `blocks ${pieceBytes}`), streamOf(bytes, pieceBytes))
      const pieces = await gather(archive.head())
      const { entries = [] } = (await archive.toc()) ?? {}
      for (const { hasData, dumpId } of entries) if (hasData) pieces.push(...(await gather(archive.block(dumpId))))
      expect(Buffer.compare(withoutOffsets(Buffer.concat(pieces)), withoutOffsets(bytes))).toBe(0)
    }
  })

  test('are shared by several readers, each row to one of them', async ({ source, folder }) => {
    const database = await createDatabase(
      source,
      `create table big as select i, repeat(md5(i::text), 10) as text from generate_series(1, 30000) i`,
    )
    const { bytes } = await archiveOf(source, database)
    await using archive = await grow(join(folder, 'shared'), streamOf(bytes))
    const big = (await archive.toc())?.entries.find(({ kind }) => kind === 'TABLE DATA')?.dumpId ?? 0
    const readers = await Promise.all([1, 2, 3].map(async () => Buffer.concat(await gather(archive.rows(big)))))
    const rows = readers.map(rowsIn)
    expect(rows.filter((each) => each.length > 1000)).toHaveLength(3)
    const whole = rowsIn(Buffer.concat(await gather(archive.block(big))))
    expect(whole.length).toBeGreaterThan(30_000)
    expect(rows.flat().toSorted()).toEqual(whole.toSorted())
    for (const each of rows) {
      const inOrder = each.map((row) => Number.parseInt(row, 10)).filter((i) => i > 0)
      expect(inOrder).toEqual(inOrder.toSorted((one, other) => one - other))
    }
  })

  test('end for every reader in what the archive ends in', async ({ source, folder }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    const damage = new Error('The last byte is another one.')
    await using archive = await grow(join(folder, 'cut'), cutShort(bytes.subarray(0, -1000), damage))
    const { entries = [] } = readToc(bytes) ?? {}
    const last = entries.findLast(({ hasData }) => hasData)?.dumpId ?? 0
    await expect(gather(archive.block(last))).rejects.toBe(damage)
    await expect(gather(archive.rows(last))).rejects.toBe(damage)
    await expect(archive.whole).rejects.toBe(damage)
  })

  test('that break off end for every reader, also where nobody else has noticed', async ({ source, folder }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    await using archive = await grow(join(folder, 'broken off'), streamOf(bytes.subarray(0, -1000)))
    await archive.whole
    const { entries = [] } = readToc(bytes) ?? {}
    const last = entries.findLast(({ hasData }) => hasData)?.dumpId ?? 0
    await expect(gather(archive.block(last))).rejects.toMatchObject({ code: 'ARCHIVE_UNREADABLE' })
    await expect(gather(archive.rows(last))).rejects.toMatchObject({ code: 'ARCHIVE_UNREADABLE' })
  })

  test('that the table of contents tells of and the archive lacks are missed', async ({ source, folder }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, 'create table t as select 1'))
    await using archive = await grow(join(folder, 'without'), streamOf(bytes))
    await expect(gather(archive.block(999_999))).rejects.toMatchObject({ code: 'ARCHIVE_UNREADABLE' })
  })
})

async function grow(path: string, source: Readable): Promise<GrowingArchive> {
  return growArchive(await open(path, 'w+'), (sink, signal) => pipeline(source, sink, { signal }))
}

async function contentOf({ file }: GrowingArchive): Promise<Buffer> {
  const { size } = await file.stat()
  return (await file.read(Buffer.alloc(size), 0, size, 0)).buffer
}

async function gather(pieces: AsyncIterable<Buffer>): Promise<Buffer[]> {
  return Array.fromAsync(pieces)
}

/** The rows of a block of a dump that is not compressed: without what says how long each chunk is. */
function rowsIn(block: Buffer): string[] {
  const chunks: Buffer[] = []
  for (let at = 6; at < block.length; ) {
    const size = block.readUInt32LE(at + 1)
    chunks.push(block.subarray(at + 5, at + 5 + size))
    at += 5 + size
  }
  return Buffer.concat(chunks)
    .toString()
    .split('\n')
    .filter((row) => row !== '')
}

/** An archive whose table of contents says nowhere where data begin, as one that came out of a pipe. */
function withoutOffsets(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const { entries = [], offsetBytes = 0 } = readToc(copy) ?? {}
  for (const { offsetAt } of entries) copy.fill(0, offsetAt, offsetAt + 1 + offsetBytes)
  return copy
}

function cutShort(bytes: Buffer, damage: Error): Readable {
  return Readable.from(
    (async function* () {
      yield bytes
      throw damage
    })(),
    { objectMode: false },
  )
}
