/** What a recovery point holds of one database, as far as falls are looked for. */
export interface DatabaseContent {
  name: string
  rowCount: number
  sourceBytes: number
  tableCount: number
}

/** The greatest falls that are no anomaly, percent; null: that is not looked at. */
export interface FallLimits {
  rows: number | null
  bytes: number | null
  tables: number | null
}

/** Something of which a point holds much less than the one that it is compared with. */
export interface ContentFall {
  kind: 'ROWS_FELL' | 'BYTES_FELL' | 'TABLES_FELL' | 'DATABASE_VANISHED' | 'TABLE_EMPTIED'
  /** Null: of all databases together. */
  database: string | null
  /** Of a table that was emptied. */
  table?: { schema: string; name: string }
  /** Rows, bytes or tables; of a database that vanished, its rows. */
  before: number
  after: number
}

/** A fall by fewer is none, whatever share it is: in what is small, much changes by a little work. */
const leastFall = { rows: 100, bytes: 64 * 1024 ** 2, tables: 3 }

const measures = [
  { kind: 'ROWS_FELL', limit: 'rows', of: (each: DatabaseContent) => each.rowCount },
  { kind: 'BYTES_FELL', limit: 'bytes', of: (each: DatabaseContent) => each.sourceBytes },
  { kind: 'TABLES_FELL', limit: 'tables', of: (each: DatabaseContent) => each.tableCount },
] as const

/**
 * What a point holds much less of than the one before it, by name: a database that is gone with at least 100 rows, one
 * whose rows, bytes or tables fell by more than the limits allow, and all databases together where none of them did alone.
 */
export function compareContent(
  before: readonly DatabaseContent[],
  after: readonly DatabaseContent[],
  limits: FallLimits,
): ContentFall[] {
  const present = new Map(after.map((each) => [each.name, each]))
  const vanished = before.flatMap(({ name, rowCount }): ContentFall[] => {
    if (present.has(name) || limits.rows === null || rowCount < leastFall.rows) return []
    return [{ kind: 'DATABASE_VANISHED', database: name, before: rowCount, after: 0 }]
  })
  const fallen = measures.flatMap(({ kind, limit, of }): ContentFall[] => {
    const isFall = (was: number, is: number) => fellTooFar(was, is, { percent: limits[limit], least: leastFall[limit] })
    const single = before.flatMap((each): ContentFall[] => {
      const now = present.get(each.name)
      if (!now || !isFall(of(each), of(now))) return []
      return [{ kind, database: each.name, before: of(each), after: of(now) }]
    })
    if (single.length > 0 || vanished.length > 0) return single
    const [was, is] = [before, after].map((databases) => databases.reduce((sum, each) => sum + of(each), 0))
    return isFall(was ?? 0, is ?? 0) ? [{ kind, database: null, before: was ?? 0, after: is ?? 0 }] : []
  })
  return [...vanished, ...fallen]
}

/** A table with its rows. */
export interface TableContent {
  database: string
  schema: string
  name: string
  rowCount: number
}

/** A table that held fewer is not missed: many are filled and emptied again by day. */
export const leastEmptied = { rows: 1_000, shareOfDatabase: 0.1 }

/** Tables that are there and hold nothing, and held much: at least a thousand rows, and a tenth of all in their database. */
export function findEmptied(
  before: readonly TableContent[],
  after: readonly TableContent[],
  { databases, limits }: { databases: readonly DatabaseContent[]; limits: FallLimits },
): ContentFall[] {
  if (limits.rows === null) return []
  const nameOf = ({ database, schema, name }: TableContent) => JSON.stringify([database, schema, name])
  const emptied = new Set(after.filter(({ rowCount }) => rowCount === 0).map(nameOf))
  const rowsOf = new Map(databases.map(({ name, rowCount }) => [name, rowCount]))
  return before.flatMap((table): ContentFall[] => {
    const { database, schema, name, rowCount } = table
    const least = Math.max(leastEmptied.rows, (rowsOf.get(database) ?? 0) * leastEmptied.shareOfDatabase)
    if (rowCount < least || !emptied.has(nameOf(table))) return []
    return [{ kind: 'TABLE_EMPTIED', database, table: { schema, name }, before: rowCount, after: 0 }]
  })
}

function fellTooFar(
  before: number,
  after: number,
  { percent, least }: { percent: number | null; least: number },
): boolean {
  const fall = before - after
  return percent !== null && fall >= least && fall * 100 > before * percent
}

const sentences: Readonly<Record<ContentFall['kind'], string>> = {
  ROWS_FELL: 'rows',
  BYTES_FELL: 'bytes',
  TABLES_FELL: 'tables',
  DATABASE_VANISHED: 'rows',
  TABLE_EMPTIED: 'rows',
}

/** A fall as a sentence: what fell, from what to what. */
export function sentenceOf({ kind, database, table, before, after }: ContentFall): string {
  const what = database === null ? 'All databases together' : `Database ${JSON.stringify(database)}`
  if (table)
    return `Table ${JSON.stringify(`${table.schema}.${table.name}`)} of ${JSON.stringify(database)} is empty, and held ${before} rows before.`
  if (kind === 'DATABASE_VANISHED') return `${what} is gone: it held ${before} rows.`
  return `${what} ${database === null ? 'hold' : 'holds'} ${after} ${sentences[kind]}, and held ${before} before.`
}
