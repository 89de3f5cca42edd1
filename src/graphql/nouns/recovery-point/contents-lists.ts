import type {
  SchemaContents as SchemaRow,
  TableContents as TableRow,
} from '../../../recovery-point/contents/contents.ts'
import {
  countSchemas,
  countTables,
  type TableOrder as Order,
  type PlacePage,
  pageSchemas,
  pageTables,
  type TableFilter,
} from '../../../recovery-point/contents/find.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { connectionBy } from '../../schema/connections.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { foreignCursor, type PageArgs, pageSizes } from '../../schema/paging.ts'

const sizeOf = ({ page: { first, last } }: { page: PlacePage }) => last ?? first ?? 0

// Databases are told apart by their key, so that a page of any number of them is one statement.
export const schemasOf = batched(
  ({ database }, keys, { nameContains, page }: { nameContains: string | undefined; page: PlacePage }) =>
    pageSchemas(database, { keys, nameContains, page }),
  sizeOf,
)

export const schemaCountOf = batched(({ database }, keys, { nameContains }: { nameContains: string }) =>
  countSchemas(database, { keys, nameContains }),
)

export const tablesOf = batched(
  ({ database }, keys, request: { filter: TableFilter; order: Order; page: PlacePage }) =>
    pageTables(database, { keys, ...request }),
  sizeOf,
)

export const tableCountOf = batched(({ database }, keys, { filter }: { filter: TableFilter }) =>
  countTables(database, { keys, filter }),
)

const TableKind = enumeration<TableRow['kind']>('TableKind', 'Where the rows of a table are.', {
  TABLE: 'It has rows of its own and is no partition.',
  PARTITION: 'It has rows of its own and is a partition of another table.',
  PARTITIONED_TABLE: 'It has no rows of its own: they are in its partitions, which are listed beside it.',
})

export const TableOrder = enumeration<Order>('TableOrder', 'In which order tables are listed.', {
  NAME: 'By schema and name, as their characters are numbered.',
  SIZE: 'The largest first; those of unknown size last.',
})

const QualifiedName = builder.objectRef<{ schema: string; name: string }>('QualifiedTableName').implement({
  description: 'The name of a table with the schema that it is in.',
  fields: (t) => ({
    schema: t.exposeString('schema', { description: 'The schema.' }),
    name: t.exposeString('name', { description: 'The name in that schema.' }),
  }),
})

const SchemaContents = builder.objectRef<SchemaRow>('SchemaContents').implement({
  description: 'One schema that a recovery point holds; those of PostgreSQL itself and of extensions are left out.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    owner: t.exposeString('ownerName', {
      nullable: true,
      description: 'The role that owned it; null where the backup was made by a version that did not write it down.',
    }),
    tableCount: t.exposeInt('tableCount', {
      description: 'How many tables with rows of their own are in it, partitions included; 0 for an empty schema.',
    }),
    rowCount: t.expose('rowCount', { type: 'RowCount', description: 'How many rows these have together.' }),
    bytes: t.expose('sizeBytes', {
      type: 'ByteCount',
      nullable: true,
      description:
        'How much space these took on the server, counted as for a table; null where that was not written down.',
    }),
  }),
})

const TableContents = builder.objectRef<TableRow>('TableContents').implement({
  description: 'One table that a recovery point holds; foreign tables and those of extensions are left out.',
  fields: (t) => ({
    schema: t.exposeString('schema', { description: 'The schema that it is in.' }),
    name: t.exposeString('name', { description: 'Its name in that schema.' }),
    kind: t.expose('kind', { type: TableKind, description: 'Where its rows are.' }),
    partitionOf: t.expose('partitionOf', {
      type: QualifiedName,
      nullable: true,
      description: 'The table that it is a partition of; null when it is none.',
    }),
    rowCount: t.expose('rowCount', {
      type: 'RowCount',
      description: 'How many rows of its own it has, counted in the snapshot of the dump.',
    }),
    bytes: t.expose('sizeBytes', {
      type: 'ByteCount',
      nullable: true,
      description:
        'How much space it took on the server in that snapshot, with values stored out of line and without indexes (pg_table_size); null where the backup was made by a version that did not write it down, and for partitioned tables.',
    }),
  }),
})

export const SchemaConnection = connectionBy<SchemaRow>(SchemaContents, (row) =>
  encodePlace('schema', [row.position], row),
)

/** A table's cursor tells its place in either order. */
export const TableConnection = connectionBy<TableRow>(TableContents, (row) =>
  encodePlace('table', [row.position, row.sizePosition], row),
)

/** The page of a database's schemas that the arguments ask for. */
export function schemaPage(args: PageArgs, key: string): PlacePage {
  return pageAt('schema', args, key, ([position]) => position)
}

/** The page of a database's tables, in an order, that the arguments ask for. */
export function tablePage(args: PageArgs, key: string, order: Order): PlacePage {
  return pageAt('table', args, key, ([position, sizePosition]) => (order === 'NAME' ? position : sizePosition))
}

type List = 'schema' | 'table'

function pageAt(list: List, args: PageArgs, key: string, placeOf: (places: number[]) => number | undefined): PlacePage {
  const place = (argument: 'after' | 'before') => {
    const cursor = args[argument]
    if (cursor == null) return {}
    const places = decodePlace(list, cursor, key)
    const found = places && placeOf(places)
    if (found === undefined) throw foreignCursor(argument)
    return { [argument]: found }
  }
  return { ...pageSizes(args), ...place('after'), ...place('before') }
}

function encodePlace(
  list: List,
  places: readonly number[],
  { contentsId, database }: { contentsId: string; database: number },
): string {
  return Buffer.from([list, contentsId, database, ...places].join(':')).toString('base64url')
}

/** Only the exact text of a cursor of this very list is taken. */
function decodePlace(list: List, cursor: string, key: string): number[] | undefined {
  const text = Buffer.from(cursor, 'base64url').toString('latin1')
  const places = /^(?:\d{1,9}:)?\d{1,9}$/.exec(text.slice(`${list}:${key}:`.length))?.[0]
  const isOurs = text.startsWith(`${list}:${key}:`) && Buffer.from(text).toString('base64url') === cursor
  return isOurs && places !== undefined ? places.split(':').map(Number) : undefined
}
