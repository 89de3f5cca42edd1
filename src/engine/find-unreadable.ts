import type { UnreadableObject } from './inspect.ts'
import type { Session } from './session.ts'

interface UnreadableRow extends Omit<UnreadableObject, 'database'> {
  count: number
}

const inUserSchema = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`
// What an extension made is made again by it: its contents are dumped only where it asks for that.
const dumpedRelation = (alias: string) => `(not exists (
    select from pg_depend x where x.classid = 'pg_class'::regclass and x.objid = ${alias}.oid and x.deptype = 'e')
  or exists (select from pg_extension e where ${alias}.oid = any (e.extconfig)))`

const questions = [
  `select 'SCHEMA' as kind, n.nspname as name, 'The role has no USAGE on the schema.' as reason,
     format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, current_user) as cure
   from pg_namespace n where ${inUserSchema} and not has_schema_privilege(n.oid, 'USAGE')`,
  `select 'TABLE', format('%I.%I', n.nspname, c.relname), 'The role has no SELECT on the table.',
     format('GRANT SELECT ON TABLE %I.%I TO %I', n.nspname, c.relname, current_user)
   from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and c.relpersistence <> 't' and ${inUserSchema}
     and not has_table_privilege(c.oid, 'SELECT') and ${dumpedRelation('c')}`,
  `select 'SEQUENCE', format('%I.%I', n.nspname, c.relname), 'The role has no SELECT on the sequence.',
     format('GRANT SELECT ON SEQUENCE %I.%I TO %I', n.nspname, c.relname, current_user)
   from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'S' and c.relpersistence <> 't' and ${inUserSchema}
     and not has_table_privilege(c.oid, 'SELECT') and ${dumpedRelation('c')}`,
  `select 'ROW_LEVEL_SECURITY', format('%I.%I', n.nspname, c.relname),
     'Row-level security of the table hides rows from the role.', format('ALTER ROLE %I BYPASSRLS', current_user)
   from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'r' and c.relrowsecurity and ${inUserSchema} and ${dumpedRelation('c')}
     and not (select r.rolbypassrls from pg_roles r where r.rolname = current_user)
     and (c.relforcerowsecurity or not pg_has_role(c.relowner, 'USAGE'))`,
]

const cureOfLargeObject = `format('GRANT SELECT ON LARGE OBJECT %s TO %I', m.oid, current_user)`
const largeObjects = `
  select 'LARGE_OBJECT', m.oid::text, 'The role has no SELECT on the large object.', ${cureOfLargeObject}
  from pg_largeobject_metadata m
  where current_setting('lo_compat_privileges') <> 'on' and not pg_has_role(m.lomowner, 'USAGE') and not exists (
    select from aclexplode(m.lomacl) a
    where a.privilege_type = 'SELECT' and (a.grantee = 0 or pg_has_role(a.grantee, 'USAGE')))`
const largeObjectsByFunction = `
  select 'LARGE_OBJECT', m.oid::text, 'The role has no SELECT on the large object.', ${cureOfLargeObject}
  from pg_largeobject_metadata m
  where current_setting('lo_compat_privileges') <> 'on' and not has_largeobject_privilege(m.oid, 'SELECT')`

/**
 * Everything of one database that a dump by this role would have to read and cannot, with its cure; at most `cap` of
 * them, and how many there are in all.
 */
export async function findUnreadable(
  { sql, versionNumber }: Session,
  database: string,
  cap: number,
): Promise<{ objects: UnreadableObject[]; count: number }> {
  const all = [...questions, versionNumber >= 180_000 ? largeObjectsByFunction : largeObjects]
  const rows = await sql.unsafe<UnreadableRow[]>(
    `select u.*, count(*) over ()::float8 as count from (${all.join(' union all ')}) u limit ${cap}`,
  )
  const objects = rows.map(({ count: _, ...row }) => ({ database, ...row }))
  return { objects, count: rows[0]?.count ?? 0 }
}
