import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { settingValue } from './database-properties.ts'
import type { RoleReport } from './inspect.ts'
import { isSystemRole } from './managed-roles.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import { openSession, type Session } from './session.ts'
import { findGuardedRoles, type Guards, withheldFrom } from './withheld.ts'

/** Something of a role that was left out when it was created. */
export interface OmittedPart {
  role: string
  what: string
  reason: string
}

export interface CreatedRoles {
  created: string[]
  /** They were there already, and are as they were. */
  existing: string[]
  omitted: OmittedPart[]
}

export interface CreatingRoles {
  signal?: AbortSignal
  beforeCreating?: (names: string[]) => Promise<void>
  beforeCommitting?: (omitted: OmittedPart[]) => Promise<void>
}

/**
 * Creates the roles that a server lacks, all or none, without passwords, with the attributes and memberships that the
 * connecting role may give, but none past the server's own guards (withheldFrom tells which those are). What was not given
 * is answered in `omitted`. Existing roles are never altered. A role that is not a superuser becomes a member of what it
 * creates, as it could not restore anything to their name otherwise. `beforeCreating` hears which are missing, and the
 * first is created when it has resolved; `beforeCommitting` hears of what was left out, and they are there only when it has
 * resolved.
 */
export async function createMissingRoles(
  address: ServerAddress,
  roles: readonly RoleReport[],
  { signal, beforeCreating, beforeCommitting }: CreatingRoles = {},
): Promise<CreatedRoles> {
  await using session = await openSession(address, address.maintenanceDatabase, { signal })
  const { sql } = session
  try {
    const self = await lookAtSelf(session)
    const present = new Set(
      (await sql<{ name: string }[]>`select rolname as name from pg_roles`).map(({ name }) => name),
    )
    const wanted = roles.filter(({ name }) => !isSystemRole(name))
    const missing = wanted.filter(({ name }) => !present.has(name))
    const guards = { versionNumber: session.versionNumber, guardedRoles: await findGuardedRoles(session) }
    const omitted: OmittedPart[] = []
    if (missing.length > 0) await beforeCreating?.(missing.map(({ name }) => name))
    await sql.unsafe('begin')
    if (!self.isSuperuser && session.versionNumber >= 160_000) {
      await sql.unsafe(`set local createrole_self_grant = 'set, inherit'`)
    }
    for (const role of missing) omitted.push(...(await createRole(session, role, { self, guards })))
    for (const role of missing) {
      present.add(role.name)
      if (!self.isSuperuser && session.versionNumber < 160_000) await grantToSelf(session, role, self)
    }
    for (const role of missing) omitted.push(...(await dressRole(session, role, { present, guards })))
    if (omitted.length > 0) await beforeCommitting?.(omitted)
    await sql.unsafe('commit')
    return {
      created: missing.map(({ name }) => name),
      existing: wanted.filter((role) => !missing.includes(role)).map(({ name }) => name),
      omitted,
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw asEngineError(error, `Creating roles at ${address.host}:${address.port}`)
  }
}

interface Self {
  name: string
  isSuperuser: boolean
  createsDatabases: boolean
}

async function lookAtSelf({ sql }: Session): Promise<Self> {
  const [self] = await sql<Self[]>`
    select rolname as name, rolsuper as "isSuperuser", rolcreatedb as "createsDatabases"
    from pg_roles where rolname = current_user`
  if (!self) throw new Error('A session has no role.')
  return self
}

async function createRole(
  { sql, versionNumber }: Session,
  role: RoleReport,
  { self, guards }: { self: Self; guards: Guards },
): Promise<OmittedPart[]> {
  const name = quoteIdentifier(role.name)
  const withheld = withheldFrom(role, guards)
  const isWithheld = (attribute: string) => withheld.some(({ what }) => what === attribute)
  const attributes: readonly (readonly [attribute: string, isWanted: boolean, mayGive: boolean])[] = [
    ['createdb', role.createsDatabases, self.isSuperuser || versionNumber < 160_000 || self.createsDatabases],
    ['createrole', role.createsRoles && !isWithheld('CREATEROLE'), true],
    ['login', role.canLogin, true],
  ]
  const given = attributes.filter(([, isWanted, mayGive]) => isWanted && mayGive).map(([attribute]) => attribute)
  if (!role.inherits) given.push('noinherit')
  if (role.connectionLimit >= 0) given.push(`connection limit ${Math.trunc(role.connectionLimit)}`)
  if (role.validUntil !== null) given.push(`valid until ${quoteLiteral(role.validUntil)}`)
  await sql.unsafe(`create role ${name} ${given.join(' ')}`)
  const notGiven = attributes
    .filter(([, isWanted, mayGive]) => isWanted && !mayGive)
    .map(([attribute]) => {
      const reason = `${quoteIdentifier(self.name)} may not give it`
      return { role: role.name, what: attribute.toUpperCase(), reason }
    })
  const notForRestores = withheld.map(({ what, cure }) => {
    return { role: role.name, what, reason: `no restore gives it; a superuser may: ${cure}` }
  })
  return [...notForRestores, ...notGiven]
}

async function grantToSelf({ sql }: Session, role: RoleReport, self: Self): Promise<void> {
  await sql.unsafe(`grant ${quoteIdentifier(role.name)} to ${quoteIdentifier(self.name)}`)
}

/** Gives a role just created its comment, settings and memberships that are not withheld, each in a savepoint of its own. */
async function dressRole(
  session: Session,
  role: RoleReport,
  { present, guards }: { present: ReadonlySet<string>; guards: Guards },
): Promise<OmittedPart[]> {
  const name = quoteIdentifier(role.name)
  const omitted: OmittedPart[] = []
  const attempt = async (what: string, statement: string) => {
    const reason = await tryStatement(session, statement)
    if (reason !== undefined) omitted.push({ role: role.name, what, reason })
  }
  if (role.comment !== null) await attempt('comment', `comment on role ${name} is ${quoteLiteral(role.comment)}`)
  for (const { name: setting, value } of role.settings) {
    await attempt(
      `setting ${setting}`,
      `alter role ${name} set ${quoteIdentifier(setting)} to ${settingValue(setting, value)}`,
    )
  }
  for (const membership of role.memberships.filter((each) => !guards.guardedRoles.has(each.role))) {
    const what = `membership in ${quoteIdentifier(membership.role)}`
    if (present.has(membership.role)) await attempt(what, grantStatement(session, name, membership))
    else omitted.push({ role: role.name, what, reason: 'there is no such role' })
  }
  return omitted
}

function grantStatement(
  { versionNumber }: Session,
  member: string,
  membership: RoleReport['memberships'][number],
): string {
  const { role, isAdmin, inherits, sets } = membership
  const grant = `grant ${quoteIdentifier(role)} to ${member}`
  if (versionNumber < 160_000) return isAdmin ? `${grant} with admin option` : grant
  const options = [`admin ${isAdmin}`]
  if (inherits !== null) options.push(`inherit ${inherits}`)
  if (sets !== null) options.push(`set ${sets}`)
  return `${grant} with ${options.join(', ')}`
}

async function tryStatement({ sql }: Session, statement: string): Promise<string | undefined> {
  await sql.unsafe('savepoint attempt')
  try {
    await sql.unsafe(statement)
    await sql.unsafe('release savepoint attempt')
    return undefined
  } catch (error) {
    await sql.unsafe('rollback to savepoint attempt')
    return asEngineError(error, statement).details
  }
}
