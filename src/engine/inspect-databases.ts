import type { DatabaseReport } from './inspect.ts'
import type { Session } from './session.ts'
import { isTemporary } from './temporary-database.ts'

const providers: Readonly<Record<string, DatabaseReport['localeProvider']>> = { c: 'LIBC', i: 'ICU', b: 'BUILTIN' }

/** The provider of a locale by the letter that the catalogue has for it; LIBC for servers that know no other. */
export function localeProviderOf(letter: string | null): DatabaseReport['localeProvider'] {
  return providers[letter ?? 'c'] ?? 'LIBC'
}

interface DatabaseRow extends Omit<DatabaseReport, 'localeProvider' | 'extensions' | 'tablespaces'> {
  provider: string | null
  tablespace: string
}

// Read through JSON where the column's name depends on the server's version.
const query = `
  select d.datname as name, pg_get_userbyid(d.datdba) as "ownerName", pg_encoding_to_char(d.encoding) as encoding,
    d.datcollate as collate, d.datctype as ctype, d.datconnlimit as "connectionLimit", t.spcname as tablespace,
    to_jsonb(d) ->> 'datlocprovider' as provider, to_jsonb(d) ->> 'daticurules' as "icuRules",
    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
    shobj_description(d.oid, 'pg_database') as comment,
    case when has_database_privilege(d.oid, 'CONNECT') or pg_has_role('pg_read_all_stats', 'USAGE')
      then coalesce(pg_database_size(d.oid), 0) else 0 end::float8 as "sizeBytes",
    case when d.datacl is not null then coalesce((select jsonb_agg(jsonb_build_object(
        'grantee', case when a.grantee <> 0 then pg_get_userbyid(a.grantee) end,
        'privilege', a.privilege_type, 'isGrantable', a.is_grantable))
      from aclexplode(d.datacl) a), '[]') end as acl,
    coalesce((select jsonb_agg(jsonb_build_object(
        'role', case when s.setrole <> 0 then pg_get_userbyid(s.setrole) end,
        'name', split_part(c.entry, '=', 1), 'value', substr(c.entry, strpos(c.entry, '=') + 1)))
      from pg_db_role_setting s, unnest(s.setconfig) c (entry) where s.setdatabase = d.oid), '[]') as settings
  from pg_database d join pg_tablespace t on t.oid = d.dattablespace`

/** Every database that accepts connections and is neither a template nor ours for the time of a restore, by name. */
export async function inspectDatabases({ sql }: Session): Promise<DatabaseReport[]> {
  const rows = await sql.unsafe<DatabaseRow[]>(
    `${query} where d.datallowconn and not d.datistemplate and d.datconnlimit <> -2 order by d.datname`,
  )
  return rows.filter((row) => !isTemporary(row)).map(reportOf)
}

/** One database by its name, whatever its state; undefined when there is none. */
export async function inspectDatabase({ sql }: Session, name: string): Promise<DatabaseReport | undefined> {
  const [row] = await sql.unsafe<DatabaseRow[]>(`${query} where d.datname = $1`, [name])
  return row && reportOf(row)
}

/** What only a connection to the database itself can tell. */
export async function inspectWithin({ sql }: Session): Promise<Pick<DatabaseReport, 'extensions' | 'tablespaces'>> {
  const extensions = await sql<DatabaseReport['extensions']>`
    select e.extname as name, e.extversion as version, n.nspname as schema
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace order by e.extname`
  const tablespaces = await sql<{ name: string }[]>`
    select t.spcname as name from pg_tablespace t
    where t.oid in (select c.reltablespace from pg_class c where c.oid >= 16384) and t.spcname <> 'pg_default'
    order by t.spcname`
  return { extensions: [...extensions], tablespaces: tablespaces.map(({ name }) => name) }
}

function reportOf({ provider, tablespace, ...row }: DatabaseRow): DatabaseReport {
  const localeProvider = localeProviderOf(provider)
  const tablespaces = tablespace === 'pg_default' ? [] : [tablespace]
  return { ...row, localeProvider, locale: localeProvider === 'LIBC' ? null : row.locale, extensions: [], tablespaces }
}
