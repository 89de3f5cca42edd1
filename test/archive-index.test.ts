import { execFile } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import { indexArchive } from '../src/engine/archive/archive-index.ts'
import { readToc } from '../src/engine/archive/read-toc.ts'
import { intoFile } from '../src/worker/streams.ts'
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
      const index = indexArchive()
      await using copy = await open(join(folder, `copy ${pieceBytes}`), 'w+')
      await pipeline(streamOf(unknown, pieceBytes), index.stream, intoFile(copy))
      await index.writeInto(copy)
      const { buffer } = await copy.read(Buffer.alloc(expected.length), 0, expected.length, 0)
      expect(Buffer.compare(buffer, expected)).toBe(0)
    }
  })

  test('is left alone when what follows is not laid out as expected', async ({ source, folder }) => {
    const { bytes } = await archiveOf(source, await createDatabase(source, contents))
    const odd = Buffer.from(bytes)
    odd.writeUInt8(9, readToc(bytes)?.sizeBytes ?? 0)
    const index = indexArchive()
    await using copy = await open(join(folder, 'odd'), 'w+')
    await pipeline(streamOf(odd), index.stream, intoFile(copy))
    await index.writeInto(copy)
    const { buffer } = await copy.read(Buffer.alloc(odd.length), 0, odd.length, 0)
    expect(Buffer.compare(buffer, odd)).toBe(0)
  })
})
