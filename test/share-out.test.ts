import { describe, expect, test } from 'vitest'
import type { Section, TocEntry } from '../src/engine/archive/read-toc.ts'
import { shareOut } from '../src/engine/loading/share-out.ts'

const MiB = 1024 * 1024
let dumpId = 0

function entry(kind: string, name: string, section: Section, hasData = false): TocEntry {
  dumpId += 1
  const rest = { owner: null, definition: null, dependsOn: [], offsetAt: 0 }
  return { dumpId, kind, schema: 'public', name, section, hasData, ...rest }
}

const rowsOf = (name: string) => entry('TABLE DATA', name, 'DATA', true)
const names = (loads: { entry: TocEntry; isShared: boolean }[]) =>
  loads.map(({ entry: { name }, isShared }) => (isShared ? `${name}, shared` : name))

describe('What is restored', () => {
  const sizes = new Map([
    ['huge', 500 * MiB],
    ['one', 9 * MiB],
    ['two', 5 * MiB],
    ['three', 5 * MiB],
  ])
  const bytesOf = ({ name }: TocEntry) => sizes.get(name)
  const entries = [
    entry('TABLE', 'huge', 'PRE_DATA'),
    entry('COMMENT', 'TABLE huge', 'NONE'),
    entry('BLOB', '1234', 'PRE_DATA'),
    entry('ACL', 'TABLE huge', 'NONE'),
    rowsOf('one'),
    rowsOf('huge'),
    rowsOf('two'),
    rowsOf('three'),
    rowsOf('unknown'),
    entry('BLOBS', 'BLOBS', 'DATA', true),
    entry('SEQUENCE SET', 'ids', 'DATA'),
    entry('INDEX', 'huge_id', 'POST_DATA'),
  ]

  test('is made in three steps, each in the order of the archive', () => {
    const { before, loads, after } = shareOut(entries, { connections: 1, bytesOf, canShare: true })
    expect(before.map(({ kind }) => kind)).toEqual(['TABLE', 'BLOB'])
    expect(loads.map(names)).toEqual([['one', 'huge', 'two', 'three', 'unknown', 'BLOBS']])
    expect(after.map(({ kind }) => kind)).toEqual(['COMMENT', 'ACL', 'SEQUENCE SET', 'INDEX'])
  })

  test('has large objects made before their bytes come, also as pg_dump 17 and newer tell of them', () => {
    const newer = [
      entry('TABLE', 'one', 'PRE_DATA'),
      entry('BLOB METADATA', '1234', 'DATA'),
      entry('ACL', 'LARGE OBJECT 1234', 'NONE'),
      rowsOf('one'),
      entry('BLOBS', 'BLOBS', 'DATA', true),
      entry('SEQUENCE SET', 'ids', 'DATA'),
      entry('STATISTICS DATA', 'one', 'DATA'),
    ]
    const { before, loads, after } = shareOut(newer, { connections: 2, bytesOf, canShare: true })
    expect(before.map(({ kind }) => kind)).toEqual(['TABLE', 'BLOB METADATA'])
    expect(loads.map(names)).toEqual([['one'], ['BLOBS']])
    expect(after.map(({ kind }) => kind)).toEqual(['ACL', 'SEQUENCE SET', 'STATISTICS DATA'])
  })

  test('has its big tables loaded by all connections, and the others by one, so that all have the like to do', () => {
    const { loads } = shareOut(entries, { connections: 2, bytesOf, canShare: true })
    expect(loads.map(names)).toEqual([
      ['one', 'huge, shared', 'unknown', 'BLOBS'],
      ['huge, shared', 'two', 'three'],
    ])
  })

  test('has no table loaded by several connections where rows cannot be told apart', () => {
    const { loads } = shareOut(entries, { connections: 2, bytesOf, canShare: false })
    expect(loads.map(names)).toEqual([['huge'], ['one', 'two', 'three', 'unknown', 'BLOBS']])
  })

  test('takes no more connections than it has data', () => {
    const few = [entry('TABLE', 'one', 'PRE_DATA'), rowsOf('one')]
    expect(shareOut(few, { connections: 4, bytesOf, canShare: true }).loads).toHaveLength(1)
    expect(shareOut(few.slice(0, 1), { connections: 4, bytesOf, canShare: true }).loads).toEqual([])
  })
})
