import type { ListedDatabase, ListedTable, QualifiedName, SchemaContents, TableContents } from './contents.ts'

type Placed<Row> = Omit<Row, 'contentsId' | 'database'>

/** A database's schemas and tables, each with its places. */
export interface Arranged {
  schemas: Placed<SchemaContents>[]
  tables: Placed<TableContents>[]
}

/**
 * Puts what a database holds into its order: tables by schema and name, so that those of a schema are one stretch, and
 * by size, the largest first and those of unknown size last. Every table's schema is there, and every schema once.
 */
export function arrange({ schemas: listed, tables, partitionedTables = [] }: ListedDatabase): Arranged {
  const partitioned = partitionedTables.map(
    (table): Placed<TableContents> => ({ ...placed(table), kind: 'PARTITIONED_TABLE' }),
  )
  const all = [...tables.map(placed), ...partitioned].sort(byName)
  for (const [position, table] of all.entries()) table.position = position
  const bySize = all.toSorted((left, right) => (right.sizeBytes ?? -1) - (left.sizeBytes ?? -1))
  for (const [position, table] of bySize.entries()) table.sizePosition = position

  const owners = new Map(listed?.map(({ name, ownerName }) => [name, ownerName]))
  const stretches = Map.groupBy(all, ({ schema }) => schema)
  const names = [...new Set([...owners.keys(), ...stretches.keys()])].sort(compareText)
  let firstTable = 0
  const schemas = names.map((name, position) => {
    const within = stretches.get(name) ?? []
    const schema = { position, name, ownerName: owners.get(name) ?? null, firstTable, ...sumsOf(within) }
    firstTable += within.length
    return schema
  })
  return { schemas, tables: all }
}

function placed({ schema, name, partitionOf = null, rows = 0, bytes }: QualifiedName & Partial<ListedTable>) {
  const kind: TableContents['kind'] = partitionOf === null ? 'TABLE' : 'PARTITION'
  return { position: 0, sizePosition: 0, schema, name, kind, partitionOf, rowCount: rows, sizeBytes: bytes ?? null }
}

function sumsOf(tables: readonly Placed<TableContents>[]) {
  const withRows = tables.filter(({ kind }) => kind !== 'PARTITIONED_TABLE')
  const isUnknown = withRows.some(({ sizeBytes }) => sizeBytes === null)
  return {
    listedTableCount: tables.length,
    tableCount: withRows.length,
    rowCount: withRows.reduce((sum, { rowCount }) => sum + rowCount, 0),
    sizeBytes: isUnknown ? null : withRows.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0),
  }
}

function byName(left: QualifiedName, right: QualifiedName): number {
  return compareText(left.schema, right.schema) || compareText(left.name, right.name)
}

function compareText(left: string, right: string): number {
  return left === right ? 0 : left < right ? -1 : 1
}
