import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { EngineError } from './engine-error.ts'
import { findUnreadable } from './find-unreadable.ts'
import { inspectDatabases, inspectWithin } from './inspect-databases.ts'
import { inspectRoles } from './inspect-roles.ts'
import { quoteIdentifier } from './quote.ts'
import { openSession, type Session } from './session.ts'

/** A privilege granted on a database. */
export interface DatabaseGrant {
  /** Null: PUBLIC. */
  grantee: string | null
  privilege: string
  isGrantable: boolean
}

/** One database as its server describes it: what is needed to make another like it. */
export interface DatabaseReport {
  name: string
  sizeBytes: number
  ownerName: string
  encoding: string
  localeProvider: 'LIBC' | 'ICU' | 'BUILTIN'
  collate: string
  ctype: string
  /** The locale of the ICU or builtin provider; null for LIBC. */
  locale: string | null
  icuRules: string | null
  connectionLimit: number
  comment: string | null
  /** ALTER DATABASE … SET, and ALTER ROLE … IN DATABASE … SET where a role is named. */
  settings: { role: string | null; name: string; value: string }[]
  /** Null: never changed from PostgreSQL's default. */
  acl: DatabaseGrant[] | null
  extensions: { name: string; version: string; schema: string }[]
  /** Tablespaces other than the default that its objects use. */
  tablespaces: string[]
}

/** One role of the server; its password is never read. */
export interface RoleReport {
  name: string
  isSuperuser: boolean
  canLogin: boolean
  inherits: boolean
  createsDatabases: boolean
  createsRoles: boolean
  isReplication: boolean
  bypassesRowSecurity: boolean
  connectionLimit: number
  /** In PostgreSQL's own text form, UTC; null: without end. */
  validUntil: string | null
  comment: string | null
  settings: { name: string; value: string }[]
  /** The roles it is a member of; the options that the server's version does not have are null. */
  memberships: { role: string; isAdmin: boolean; inherits: boolean | null; sets: boolean | null }[]
}

/** Something that a backup would have to read and the role cannot. */
export interface UnreadableObject {
  database: string
  kind: 'DATABASE' | 'SCHEMA' | 'TABLE' | 'SEQUENCE' | 'LARGE_OBJECT' | 'ROW_LEVEL_SECURITY'
  name: string
  reason: string
  /** The SQL that cures it, to be run by someone who may. */
  cure: string
}

export interface ServerDescription {
  /** As in server_version_num, e.g. 150018. */
  versionNumber: number
  version: string
  isInRecovery: boolean
  isSuperuser: boolean
}

/** What a server is and holds, and whether all of it can be backed up by the role that asked. */
export interface ServerReport extends ServerDescription {
  /** Those that accept connections; templates, half-dropped ones and unfinished restores are left out. */
  databases: DatabaseReport[]
  roles: RoleReport[]
  /** At most 200 of them; `unreadableCount` says how many there are. */
  unreadable: UnreadableObject[]
  unreadableCount: number
}

const unreadableCap = 200

/**
 * Describes a server and finds everything that a backup by this role could not read. Opens one connection per database,
 * one after the other. Throws an EngineError when the server cannot be asked.
 */
export async function inspectServer(
  address: ServerAddress,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ServerReport> {
  await using session = await openSession(address, address.maintenanceDatabase, { signal })
  try {
    const about = await describe(session)
    const report: ServerReport = {
      ...about,
      databases: [],
      roles: await inspectRoles(session),
      unreadable: [],
      unreadableCount: 0,
    }
    for (const database of await inspectDatabases(session)) await inspectOne(address, database, report, signal)
    return report
  } catch (error) {
    signal?.throwIfAborted()
    throw asEngineError(error, `Inspecting the server at ${address.host}:${address.port}`)
  }
}

/** What a server says of itself, and whether the role is its superuser; none of its databases is looked into. */
export async function describeServer(
  address: ServerAddress,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ServerDescription> {
  await using session = await openSession(address, address.maintenanceDatabase, { signal })
  try {
    return await describe(session)
  } catch (error) {
    signal?.throwIfAborted()
    throw asEngineError(error, `Looking at the server at ${address.host}:${address.port}`)
  }
}

async function describe({ sql, versionNumber }: Session): Promise<ServerDescription> {
  const [about] = await sql<{ version: string; isInRecovery: boolean; isSuperuser: boolean }[]>`
    select current_setting('server_version') as version, pg_is_in_recovery() as "isInRecovery", r.rolsuper as "isSuperuser"
    from pg_roles r where r.rolname = current_user`
  if (!about) throw new EngineError('TOOL_FAILED', 'The server did not describe itself.')
  return { versionNumber, ...about }
}

async function inspectOne(
  address: ServerAddress,
  database: DatabaseReport,
  report: ServerReport,
  signal: AbortSignal | undefined,
): Promise<void> {
  const note = ({ objects, count }: { objects: UnreadableObject[]; count: number }) => {
    report.unreadable.push(...objects.slice(0, unreadableCap - report.unreadable.length))
    report.unreadableCount += count
  }
  if (database.name.includes('\uFFFD')) {
    report.databases.push(database)
    return note({ objects: [unnameable(database.name)], count: 1 })
  }
  try {
    await using session = await openSession(address, database.name, { signal })
    report.databases.push({ ...database, ...(await inspectWithin(session)) })
    if (!report.isSuperuser) note(await findUnreadable(session, database.name, unreadableCap))
  } catch (error) {
    const failure = asEngineError(error, `Inspecting database ${JSON.stringify(database.name)}`)
    // It was dropped after the list was made: there is nothing left of it to back up.
    if (failure.code === 'DATABASE_MISSING') return
    if (failure.code !== 'PERMISSION_DENIED' && failure.code !== 'AUTHENTICATION_FAILED') throw failure
    report.databases.push(database)
    note({ objects: [unreachable(address, database.name, failure)], count: 1 })
  }
}

// PostgreSQL takes any bytes for a name; what is not UTF-8 cannot be told apart once it has been read as text.
function unnameable(database: string): UnreadableObject {
  const reason = "The database's name is not valid UTF-8."
  return { database, kind: 'DATABASE', name: database, reason, cure: 'ALTER DATABASE … RENAME TO …' }
}

function unreachable(address: ServerAddress, database: string, failure: EngineError): UnreadableObject {
  const cure =
    failure.code === 'PERMISSION_DENIED'
      ? `GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(address.username)}`
      : `-- in pg_hba.conf, allow ${quoteIdentifier(address.username)} to connect to ${quoteIdentifier(database)}`
  return { database, kind: 'DATABASE', name: database, reason: failure.message, cure }
}
