import { asEngineError } from '../classify.ts'
import type { DatabaseLocale } from '../create-database.ts'
import { EngineError } from '../engine-error.ts'
import { localeProviderOf } from '../inspect-databases.ts'
import type { Session } from '../session.ts'
import { findGuardedRoles } from '../withheld.ts'

/** The role that a session signed in as. */
export interface OwnRole {
  name: string
  isSuperuser: boolean
  createsDatabases: boolean
  createsRoles: boolean
  /** Negative: none. */
  connectionLimit: number
}

/** One database of a server, as far as one can see from another. */
export interface PresentDatabase extends DatabaseLocale {
  ownerName: string
  comment: string | null
  /** Where what is made in it lies. */
  tablespace: string
  isTemplate: boolean
  /** Sessions in it that are not Holdfast's, and what they call themselves. */
  sessionCount: number
  applications: string[]
  preparedTransactionCount: number
}

/** What a server's catalogues tell a role about what a restore there would need. */
export interface TargetFacts {
  versionNumber: number
  version: string
  isEncrypted: boolean
  isInRecovery: boolean
  isReadOnlyByDefault: boolean
  self: OwnRole
  /** Every role of the server: whether the own one has its rights, and whether it may act as it. */
  roles: ReadonlyMap<string, { isSuperuser: boolean; hasRights: boolean; mayBecome: boolean }>
  /** Those of them whose members have rights that no restore gives. */
  guardedRoles: ReadonlySet<string>
  databases: readonly PresentDatabase[]
  /** Every extension that can be created, with the version it gets then. */
  extensions: ReadonlyMap<string, { version: string; needsSuperuser: boolean }>
  /** Collations of the C library, as they were there when the server was made. */
  collations: readonly { collate: string; ctype: string; encoding: string | null }[]
  hasIcu: boolean
  tablespaces: ReadonlySet<string>
  /** Null when the role may not know. */
  preloadedLibraries: readonly string[] | null
  /** How many connections the role can still open besides the one that asks. */
  freeConnections: number
  /** How many locks all sessions can hold together. */
  lockSlots: number
}

/** Asks a server for all of it, over one connection. Throws an EngineError when it cannot be asked. */
export async function lookAtTarget(session: Session): Promise<TargetFacts> {
  try {
    const about = await describe(session)
    const [roles, guardedRoles, databases, extensions, collations, tablespaces] = await Promise.all([
      findRoles(session),
      findGuardedRoles(session),
      findDatabases(session),
      findExtensions(session),
      findCollations(session),
      session.sql<{ name: string }[]>`select spcname as name from pg_tablespace`,
    ])
    return {
      ...about,
      versionNumber: session.versionNumber,
      roles,
      guardedRoles,
      databases,
      extensions,
      collations,
      tablespaces: new Set(tablespaces.map(({ name }) => name)),
    }
  } catch (error) {
    throw asEngineError(error, 'Looking at the server')
  }
}

interface AboutRow extends OwnRole {
  version: string
  isEncrypted: boolean
  isInRecovery: boolean
  readOnly: string | null
  hasIcu: boolean
  preloaded: string | null
  reserved: number
  used: number
  usedByRole: number
  maxConnections: number
  lockSlots: number
}

async function describe({ sql }: Session) {
  // A session of ours has set it off for itself; what others begin with is the value it would be reset to.
  const [row] = await sql<AboutRow[]>`
    select current_setting('server_version') as version, pg_is_in_recovery() as "isInRecovery",
      coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as "isEncrypted",
      (select reset_val from pg_settings where name = 'default_transaction_read_only') as "readOnly",
      r.rolname as name, r.rolsuper as "isSuperuser", r.rolcreatedb as "createsDatabases",
      r.rolcreaterole as "createsRoles", r.rolconnlimit as "connectionLimit",
      exists (select from pg_collation where collprovider = 'i') as "hasIcu",
      (select setting from pg_settings where name = 'shared_preload_libraries') as preloaded,
      current_setting('max_connections')::int as "maxConnections",
      current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
      (select count(*)::int from pg_stat_activity where usesysid is not null and pid <> pg_backend_pid()) as used,
      (select count(*)::int from pg_stat_activity where usesysid = r.oid and pid <> pg_backend_pid()) as "usedByRole",
      current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int
        + current_setting('max_prepared_transactions')::int + current_setting('autovacuum_max_workers')::int + 1
        + current_setting('max_worker_processes')::int + current_setting('max_wal_senders')::int) as "lockSlots"
    from pg_roles r where r.rolname = current_user`
  if (!row) throw new EngineError('TOOL_FAILED', 'The server did not describe itself.')
  const { version, isEncrypted, isInRecovery, hasIcu, lockSlots, preloaded } = row
  const { name, isSuperuser, createsDatabases, createsRoles, connectionLimit } = row
  return {
    version,
    isEncrypted,
    isInRecovery,
    isReadOnlyByDefault: row.readOnly === 'on',
    self: { name, isSuperuser, createsDatabases, createsRoles, connectionLimit },
    hasIcu,
    preloadedLibraries: preloaded === null ? null : listedIn(preloaded),
    freeConnections: freeConnectionsOf(row),
    lockSlots,
  }
}

function freeConnectionsOf({ isSuperuser, connectionLimit, maxConnections, reserved, used, usedByRole }: AboutRow) {
  const free = maxConnections - (isSuperuser ? 0 : reserved) - used - 1
  const freeToRole = isSuperuser || connectionLimit < 0 ? Number.POSITIVE_INFINITY : connectionLimit - usedByRole - 1
  return Math.max(0, Math.min(free, freeToRole))
}

function listedIn(setting: string): string[] {
  return setting.split(',').flatMap((each) => each.trim().replace(/^"|"$/g, '').replace(/^.*\//, '') || [])
}

async function findRoles({ sql, versionNumber }: Session): Promise<TargetFacts['roles']> {
  const become = versionNumber >= 160_000 ? 'SET' : 'MEMBER'
  const rows = await sql<{ name: string; isSuperuser: boolean; hasRights: boolean; mayBecome: boolean }[]>`
    select rolname as name, rolsuper as "isSuperuser", pg_has_role(oid, 'USAGE') as "hasRights", pg_has_role(oid, ${become}) as "mayBecome"
    from pg_roles`
  return new Map(rows.map(({ name, ...rights }) => [name, rights]))
}

// Sessions of Holdfast end by themselves, and the one that asks is among them.
async function findDatabases({ sql }: Session): Promise<PresentDatabase[]> {
  const rows = await sql<(Omit<PresentDatabase, 'localeProvider'> & { provider: string | null })[]>`
    select d.datname as name, pg_get_userbyid(d.datdba) as "ownerName", pg_encoding_to_char(d.encoding) as encoding,
      shobj_description(d.oid, 'pg_database') as comment, t.spcname as tablespace, d.datistemplate as "isTemplate",
      d.datcollate as collate, d.datctype as ctype, to_jsonb(d) ->> 'datlocprovider' as provider,
      to_jsonb(d) ->> 'daticurules' as "icuRules",
      coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
      (select count(*)::int from pg_stat_activity a where a.datid = d.oid and a.usesysid is not null
        and a.application_name is distinct from 'holdfast') as "sessionCount",
      coalesce((select jsonb_agg(distinct a.application_name) from pg_stat_activity a where a.datid = d.oid
        and a.usesysid is not null and a.application_name not in ('', 'holdfast')), '[]') as applications,
      (select count(*)::int from pg_prepared_xacts p where p.database = d.datname) as "preparedTransactionCount"
    from pg_database d join pg_tablespace t on t.oid = d.dattablespace order by d.datname`
  return rows.map(({ provider, ...row }) => {
    const localeProvider = localeProviderOf(provider)
    return { ...row, localeProvider, locale: localeProvider === 'LIBC' ? null : row.locale }
  })
}

async function findExtensions({ sql }: Session): Promise<TargetFacts['extensions']> {
  // Whether an extension is trusted is known from version 13 on; before that none is.
  const rows = await sql<{ name: string; version: string; needsSuperuser: boolean }[]>`
    select e.name, e.default_version as version,
      coalesce(v.superuser and not coalesce((to_jsonb(v) ->> 'trusted')::boolean, false), false) as "needsSuperuser"
    from pg_available_extensions e
    left join pg_available_extension_versions v on v.name = e.name and v.version = e.default_version`
  return new Map(rows.map(({ name, ...extension }) => [name, extension]))
}

async function findCollations({ sql }: Session): Promise<TargetFacts['collations']> {
  return sql<{ collate: string; ctype: string; encoding: string | null }[]>`
    select distinct collcollate as collate, collctype as ctype,
      case when collencoding >= 0 then pg_encoding_to_char(collencoding) end as encoding
    from pg_collation where collprovider = 'c' and collcollate is not null`
}
