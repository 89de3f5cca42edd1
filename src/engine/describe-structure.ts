import type { Session } from './session.ts'
import { findContentsIn } from './target-database.ts'

/** What a database is made of beside the tables that have rows. */
export interface StructureFacts {
  /** By name, empty ones included; those of the system and of extensions are left out. */
  schemas: { name: string; ownerName: string }[]
  /** Tables whose rows are in their partitions, by schema and name. */
  partitionedTables: PartitionedTable[]
  /** Whether it holds nothing at all beyond a new database. */
  isEmpty: boolean
  /**
   * The roles that own something in it, are granted something or are named by a policy; left out where its rows may name
   * others, too.
   */
  roles?: string[]
}

export interface PartitionedTable {
  schema: string
  name: string
  /** Where it is a partition itself: of which table. */
  partitionOf?: { schema: string; name: string }
}

interface PartitionedRow extends Omit<PartitionedTable, 'partitionOf'> {
  partitionOf: { schema: string; name: string } | null
}

/** Describes the database in the session's own transaction: three questions, however much it holds. */
export async function describeStructure({ sql }: Pick<Session, 'sql'>): Promise<StructureFacts> {
  const schemas = await sql<StructureFacts['schemas']>`
    select n.nspname as name, pg_get_userbyid(n.nspowner) as "ownerName"
    from pg_namespace n
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and not exists (select from pg_depend d
        where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e')
    order by n.nspname`
  const partitioned = await sql<PartitionedRow[]>`
    select n.nspname as schema, c.relname as name,
      (select jsonb_build_object('schema', parent_schema.nspname, 'name', parent.relname)
        from pg_inherits i join pg_class parent on parent.oid = i.inhparent
        join pg_namespace parent_schema on parent_schema.oid = parent.relnamespace
        where c.relispartition and i.inhrelid = c.oid) as "partitionOf"
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'p' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and not exists (select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    order by n.nspname, c.relname`
  const partitionedTables = partitioned.map(({ partitionOf, ...table }) => ({
    ...table,
    ...(partitionOf && { partitionOf }),
  }))
  const roles = await findRoles(sql)
  const isEmpty = (await findContentsIn({ sql })).length === 0
  return { schemas: [...schemas], partitionedTables, isEmpty, ...(roles && { roles }) }
}

// PostgreSQL notes which roles an object needs, but for the one that initdb made: that one is always there.
async function findRoles(sql: Session['sql']): Promise<string[] | undefined> {
  const [row] = await sql<{ roles: string[]; areAll: boolean }[]>`
    select (select jsonb_agg(r.rolname order by r.rolname) from pg_roles r where r.oid = 10 or r.oid in (
        select s.refobjid from pg_shdepend s where s.refclassid = 'pg_authid'::regclass
          and s.dbid = (select d.oid from pg_database d where d.datname = current_database()))) as roles,
      not exists (select from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid >= 16384 and not a.attisdropped and (case t.typtype when 'd' then t.typbasetype else t.oid end)
          in ('regrole'::regtype, 'regrole[]'::regtype, 'aclitem'::regtype, 'aclitem[]'::regtype)) as "areAll"`
  return row?.areAll ? row.roles : undefined
}
