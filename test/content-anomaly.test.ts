import { describe, expect, test } from 'vitest'
import {
  compareContent,
  type DatabaseContent,
  type FallLimits,
  findEmptied,
  sentenceOf,
} from '../src/retention/compare-content.ts'

const half: FallLimits = { rows: 50, bytes: 50, tables: 50 }
const gib = 1024 ** 3

function shop(changes: Partial<DatabaseContent> = {}): DatabaseContent {
  return { name: 'shop', rowCount: 10_000, sourceBytes: gib, tableCount: 20, ...changes }
}

describe('a recovery point compared with the one before it', () => {
  test.for<[string, Partial<DatabaseContent>, string[]]>([
    ['that holds as much', {}, []],
    ['that grew', { rowCount: 50_000, sourceBytes: 9 * gib, tableCount: 90 }, []],
    ['that holds half the rows', { rowCount: 5_000 }, []],
    ['that holds less than half the rows', { rowCount: 4_999 }, ['ROWS_FELL']],
    ['that holds no row', { rowCount: 0 }, ['ROWS_FELL']],
    ['that is less than half as big', { sourceBytes: 0.4 * gib }, ['BYTES_FELL']],
    ['that lost most tables', { tableCount: 3 }, ['TABLES_FELL']],
    [
      'of which nothing is left',
      { rowCount: 0, sourceBytes: 0, tableCount: 0 },
      ['ROWS_FELL', 'BYTES_FELL', 'TABLES_FELL'],
    ],
  ])('%s', ([, changes, kinds]) => {
    const falls = compareContent([shop()], [shop(changes)], half)
    expect(falls.map(({ kind }) => kind)).toEqual(kinds)
    for (const { database } of falls) expect(database).toBe('shop')
  })

  test('and that is small may lose all it has', () => {
    const small = shop({ rowCount: 99, sourceBytes: 60 * 1024 ** 2, tableCount: 2 })
    expect(compareContent([small], [shop({ rowCount: 0, sourceBytes: 0, tableCount: 0 })], half)).toEqual([])
    expect(compareContent([shop({ rowCount: 3 })], [shop({ rowCount: 1 })], half)).toEqual([])
  })

  test('and that lacks a database says which one', () => {
    const falls = compareContent([shop(), shop({ name: 'crm "eu"', rowCount: 120 })], [shop()], half)
    expect(falls).toEqual([{ kind: 'DATABASE_VANISHED', database: 'crm "eu"', before: 120, after: 0 }])
    expect(falls.map(sentenceOf)).toEqual(['Database "crm \\"eu\\"" is gone: it held 120 rows.'])
  })

  test('and that lacks an empty database is none the worse', () => {
    expect(compareContent([shop(), shop({ name: 'scratch', rowCount: 5, tableCount: 1 })], [shop()], half)).toEqual([])
  })

  test('names a small database that lost most beside a big one that hides it', () => {
    const before = [shop({ rowCount: 1_000_000 }), shop({ name: 'invoices', rowCount: 500 })]
    const falls = compareContent(
      before,
      [shop({ rowCount: 1_000_000 }), shop({ name: 'invoices', rowCount: 10 })],
      half,
    )
    expect(falls).toEqual([{ kind: 'ROWS_FELL', database: 'invoices', before: 500, after: 10 }])
  })

  test('is all of them together where many small ones are gone at once', () => {
    const tenants = Array.from({ length: 50 }, (_, index) => shop({ name: `tenant ${index}`, rowCount: 80 }))
    const falls = compareContent(tenants, tenants.slice(0, 5), half)
    expect(falls).toContainEqual({ kind: 'ROWS_FELL', database: null, before: 4_000, after: 400 })
  })

  test('looks at nothing that the policy does not ask for', () => {
    const nothing = { rowCount: 0, sourceBytes: 0, tableCount: 0 }
    const rowsAlone = compareContent([shop()], [shop(nothing)], { rows: 90, bytes: null, tables: null })
    expect(rowsAlone.map(({ kind }) => kind)).toEqual(['ROWS_FELL'])
    expect(compareContent([shop()], [], { rows: null, bytes: null, tables: null })).toEqual([])
  })
})

describe('a table that holds nothing any more', () => {
  const table = (name: string, rowCount: number) => ({ database: 'shop', schema: 'public', name, rowCount })
  const find = (before: number, after: ReturnType<typeof table>[], limits = half) =>
    findEmptied([table('orders', before)], after, { databases: [shop({ rowCount: 20_000 })], limits })

  test('is named when it held much', () => {
    const falls = find(2_000, [table('orders', 0), table('other', 50_000)])
    expect(falls).toMatchObject([{ kind: 'TABLE_EMPTIED', table: { schema: 'public', name: 'orders' }, before: 2_000 }])
    expect(falls.map(sentenceOf)).toEqual(['Table "public.orders" of "shop" is empty, and held 2000 rows before.'])
  })

  test('is not missed when it held little, for itself or beside the others, or is gone by name, or rows are not looked at', () => {
    expect(find(999, [table('orders', 0)])).toEqual([])
    expect(find(1_999, [table('orders', 0)])).toEqual([])
    expect(find(2_000, [table('orders', 1)])).toEqual([])
    expect(find(2_000, [])).toEqual([])
    expect(find(2_000, [table('orders', 0)], { ...half, rows: null })).toEqual([])
  })
})
