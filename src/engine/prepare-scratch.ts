import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import type { DatabaseReport, RoleReport } from './inspect.ts'
import { isSystemRole } from './managed-roles.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import { openSession, type Session } from './session.ts'

/** The schema, of every database of a scratch server, that holds what is ours. */
export const ownSchema = 'holdfast_proof'

export interface ScratchRole {
  name: string
  password: string
}

export interface ScratchRoles {
  /** Restores, and can neither become a superuser nor give itself the rights of another role: it runs functions of whoever owned objects at the source. */
  restorer: ScratchRole
  /** Asks assertions: may read everything and change nothing. */
  reader: ScratchRole
}

/**
 * Makes a scratch server ready to be restored into by a role that is no superuser: it gets that role, one that only reads,
 * and a way to have the source's extensions made, whichever they are. `address` signs in as the superuser. Answers the
 * names of extensions that the server does not have; nothing that needs them can be restored.
 */
export async function prepareScratch(
  address: ServerAddress,
  { roles, databases, signal }: { roles: ScratchRoles; databases: readonly DatabaseReport[]; signal: AbortSignal },
): Promise<string[]> {
  try {
    await using session = await openSession(address, address.maintenanceDatabase, { signal })
    const available = await session.sql<{ name: string }[]>`select name from pg_available_extensions`
    const names = new Set(available.map(({ name }) => name))
    const wanted = databases.flatMap(({ extensions }) => extensions)
    await createRoles(session, roles)
    await session.sql.unsafe('alter database template0 allow_connections true')
    await using template = await openSession(address, 'template0', { signal })
    await template.sql.unsafe(installer(roles.restorer, wanted))
    return [...new Set(wanted.filter(({ name }) => !names.has(name)).map(({ name }) => name))]
  } catch (error) {
    signal.throwIfAborted()
    throw asEngineError(error, 'Preparing the scratch server')
  }
}

async function createRoles({ sql, versionNumber }: Session, { restorer, reader }: ScratchRoles): Promise<void> {
  const create = ({ name, password }: ScratchRole, attributes: string) =>
    sql.unsafe(`create role ${quoteIdentifier(name)} login password ${quoteLiteral(password)} ${attributes}`)
  // Before PostgreSQL 16 a role with CREATEROLE may join any but a superuser's: those that run programs and read files, too.
  await create(restorer, 'createdb bypassrls')
  await create(reader, 'bypassrls')
  if (versionNumber < 140_000) return
  const both = [restorer, reader].map(({ name }) => quoteIdentifier(name)).join(', ')
  await sql.unsafe(`grant pg_read_all_data to ${both}`)
  // Rows of an extension's own tables are restored as well.
  await sql.unsafe(`grant pg_write_all_data to ${quoteIdentifier(restorer.name)}`)
}

/**
 * Makes the source's roles known to a scratch server, all or none: policies name them. They may not sign in, have no right
 * and are members of nothing, and nobody is a member of them. `address` signs in as the superuser.
 */
export async function createSourceRoles(
  address: ServerAddress,
  roles: readonly RoleReport[],
  { signal }: { signal: AbortSignal },
): Promise<void> {
  try {
    await using session = await openSession(address, address.maintenanceDatabase, { signal })
    const names = roles.map(({ name }) => name).filter((name) => !isSystemRole(name))
    await session.sql.unsafe(
      ['begin', ...names.map((name) => `create role ${quoteIdentifier(name)}`), 'commit'].join(';'),
    )
  } catch (error) {
    signal.throwIfAborted()
    throw asEngineError(error, 'Creating the roles of the source on the scratch server')
  }
}

/**
 * Most extensions can only be made by a superuser, who would then run everything else of the archive, too. So each is made
 * for the restorer at the moment when the archive asks for it: its schema is there by then, and nothing else is yet.
 */
function installer(restorer: ScratchRole, extensions: DatabaseReport['extensions']): string {
  const list = JSON.stringify(extensions.map(({ name, schema }) => ({ name, schema })))
  const body = `
declare
  wanted record;
begin
  if current_setting('holdfast_proof.is_installing', true) = 'on' then return; end if;
  perform set_config('holdfast_proof.is_installing', 'on', true);
  for wanted in
    select distinct e.name, e.schema from json_to_recordset(${quoteLiteral(list)}) as e (name name, schema name)
      join pg_namespace n on n.nspname = e.schema join pg_available_extensions a on a.name = e.name
    where strpos(current_query(), e.name) > 0 and not exists (select from pg_extension x where x.extname = e.name)
  loop
    execute format('create extension if not exists %I schema %I', wanted.name, wanted.schema);
    update pg_extension set extowner = ${quoteLiteral(quoteIdentifier(restorer.name))}::regrole where extname = wanted.name;
  end loop;
  perform set_config('holdfast_proof.is_installing', '', true);
end`
  return `
    create schema ${ownSchema};
    create function ${ownSchema}.install_extensions() returns event_trigger language plpgsql security definer
      set search_path = pg_catalog, pg_temp as ${quoteLiteral(body)};
    create event trigger holdfast_proof_extensions on ddl_command_start when tag in ('CREATE EXTENSION')
      execute procedure ${ownSchema}.install_extensions()`
}

/**
 * Opens a restored database of a scratch server to the roles that check it, and gives it amcheck where the server has that:
 * answers amcheck's schema, null where it does not. `address` signs in as the superuser.
 */
export async function openCopy(
  address: ServerAddress,
  database: string,
  { roles, signal }: { roles: ScratchRoles; signal: AbortSignal },
): Promise<string | null> {
  const both = [roles.restorer, roles.reader].map(({ name }) => quoteIdentifier(name)).join(', ')
  try {
    await using session = await openSession(address, database, { signal })
    const { sql, versionNumber } = session
    const name = quoteIdentifier(database)
    await sql.unsafe(`alter database ${name} connection limit -1; grant connect on database ${name} to ${both}`)
    if (versionNumber < 140_000) await letRead(session, roles.reader)
    const [found] = await sql<{ name: string }[]>`select name from pg_available_extensions where name = 'amcheck'`
    if (!found) return null
    await sql.unsafe(`create extension if not exists amcheck schema ${ownSchema}`)
    const [amcheck] = await sql<{ schema: string }[]>`
      select n.nspname as schema from pg_extension x join pg_namespace n on n.oid = x.extnamespace
      where x.extname = 'amcheck'`
    if (!amcheck) return null
    const schema = quoteIdentifier(amcheck.schema)
    await sql.unsafe(
      `grant usage on schema ${schema} to ${both}; grant execute on all functions in schema ${schema} to ${both}`,
    )
    return amcheck.schema
  } catch (error) {
    signal.throwIfAborted()
    throw asEngineError(error, `Opening the copy ${quoteIdentifier(database)}`)
  }
}

/** Before PostgreSQL 14 there is no role that may read everything. */
async function letRead({ sql }: Session, { name }: ScratchRole): Promise<void> {
  const rows = await sql<{ schema: string }[]>`select nspname as schema from pg_namespace where nspname !~ '^pg_'`
  for (const { schema } of rows) {
    const granted = quoteIdentifier(schema)
    await sql.unsafe(`grant usage on schema ${granted} to ${quoteIdentifier(name)}`)
    await sql.unsafe(`grant select on all tables in schema ${granted} to ${quoteIdentifier(name)}`)
  }
}
