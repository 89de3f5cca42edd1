import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { EngineError } from './engine-error.ts'
import { quoteIdentifier } from './quote.ts'
import { openSession, type Session } from './session.ts'

// Objects of a database's users have numbers from 16384 on; what initdb made lies below. Only large objects may be given any.
const catalogues: readonly (readonly [kind: string, catalogue: string, name: string, condition?: string])[] = [
  ['schema', 'pg_namespace', 'o.nspname', `o.nspname <> 'public' and o.nspname !~ '^pg_(toast_)?temp_'`],
  ['extension', 'pg_extension', 'o.extname', `o.extname <> 'plpgsql'`],
  ['relation', 'pg_class', 'o.relname', `o.relpersistence <> 't' and o.relkind <> 't' and o.relkind <> 'i'`],
  ['function', 'pg_proc', 'o.proname'],
  ['type', 'pg_type', 'o.typname', `o.typtype <> 'c' and o.typelem = 0`],
  ['large object', 'pg_largeobject_metadata', 'o.oid::text'],
  ['event trigger', 'pg_event_trigger', 'o.evtname'],
  ['publication', 'pg_publication', 'o.pubname'],
  ['foreign-data wrapper', 'pg_foreign_data_wrapper', 'o.fdwname'],
  ['foreign server', 'pg_foreign_server', 'o.srvname'],
  ['language', 'pg_language', 'o.lanname', `o.lanname <> 'plpgsql'`],
  ['cast', 'pg_cast', `format_type(o.castsource, null) || ' as ' || format_type(o.casttarget, null)`],
  ['operator', 'pg_operator', 'o.oprname'],
  ['operator class', 'pg_opclass', 'o.opcname'],
  ['operator family', 'pg_opfamily', 'o.opfname'],
  ['access method', 'pg_am', 'o.amname'],
  ['collation', 'pg_collation', 'o.collname', `o.collnamespace <> 'pg_catalog'::regnamespace`],
  ['conversion', 'pg_conversion', 'o.conname'],
  ['text search configuration', 'pg_ts_config', 'o.cfgname'],
  ['text search dictionary', 'pg_ts_dict', 'o.dictname'],
  ['default privilege', 'pg_default_acl', 'pg_get_userbyid(o.defaclrole)'],
]

const numberedByUsers = catalogues.findIndex(([, catalogue]) => catalogue === 'pg_largeobject_metadata')
const query = catalogues
  .map(([kind, catalogue, name, condition = 'true'], rank) => {
    // A name is quoted as SQL would have it; what is put together by an expression is shown as it is.
    const shown = /^o\.\w+$/.test(name) ? `quote_ident(${name})` : name
    return `(select ${rank} as rank, '${kind} ' || (${shown})::text collate "C" as found from ${catalogue} o
      where (o.oid >= 16384 or ${rank === numberedByUsers}) and ${condition} order by 2 limit 5)`
  })
  .join(' union all ')

/** What a database holds beyond a new one, in words: at most 5 things; empty when there is nothing. */
export async function findContents(
  address: ServerAddress,
  database: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  await using session = await openSession(address, database, { signal })
  try {
    return await findContentsIn(session)
  } catch (error) {
    signal?.throwIfAborted()
    throw asEngineError(error, `Looking whether database ${quoteIdentifier(database)} is empty`)
  }
}

/** The same of the database that a session is in, in its own transaction. */
export async function findContentsIn({ sql }: Pick<Session, 'sql'>): Promise<string[]> {
  const rows = await sql.unsafe<{ found: string }[]>(`select found from (${query}) u order by rank limit 5`)
  return rows.map(({ found }) => found)
}

/** Throws TARGET_NOT_EMPTY, naming some of what was found, when a database holds anything beyond a new one. */
export async function refuseContents(
  address: ServerAddress,
  database: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const found = await findContents(address, database, signal)
  if (found.length === 0) return
  throw new EngineError(
    'TARGET_NOT_EMPTY',
    `Database ${quoteIdentifier(database)} is not empty: it holds ${found.join(', ')}${found.length === 5 ? ', …' : ''}.`,
  )
}
