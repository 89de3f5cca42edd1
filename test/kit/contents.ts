import type { ListedDatabase, ListedTable, PointFacts } from '../../src/recovery-point/contents/contents.ts'

/** A database as a manifest tells of it, with these tables. */
export function listedDatabase(
  name: string,
  tables: readonly ListedTable[],
  more: Partial<ListedDatabase> = {},
): ListedDatabase {
  return {
    name,
    sourceBytes: 5_000_000,
    ownerName: 'owner',
    encoding: 'UTF8',
    localeProvider: 'LIBC',
    collate: 'C.UTF-8',
    ctype: 'C.UTF-8',
    locale: null,
    extensions: [{ name: 'plpgsql', version: '1.0', schema: 'pg_catalog' }],
    tables,
    ...more,
  }
}

/** A role without rights. */
export const plainRole: PointFacts['roles'][number] = {
  name: 'app',
  isSuperuser: false,
  canLogin: true,
  inherits: true,
  createsDatabases: false,
  createsRoles: false,
  isReplication: false,
  bypassesRowSecurity: false,
  connectionLimit: -1,
  validUntil: null,
  memberOf: [],
}

/** So many tables, in schemas of ten; the sizes follow another order than the names. */
export function manyTables(count: number): ListedTable[] {
  return Array.from({ length: count }, (_, index) => ({
    schema: `tenant ${String(Math.floor(index / 10)).padStart(6, '0')}`,
    name: `table ${index % 10}`,
    rows: index,
    bytes: ((index * 7_919) % count) * 8_192,
  }))
}
