import { isManagedRole } from '../managed-roles.ts'
import { quoteIdentifier } from '../quote.ts'
import { guarded, leftOut, onlyIfThere, roleBlock } from './plain-sql.ts'
import { type Statement, splitStatements, type Token } from './split-statements.ts'

/** Roles and tablespaces as SQL for a plain server. */
export interface CleanedGlobals {
  sql: string
  /** What was left out and why, a sentence each. */
  leftOut: string[]
}

/** A role of every server: it is there already, and has to stay what it is. */
const ownRole = 'postgres'

/**
 * Makes of what pg_dumpall wrote of roles and tablespaces SQL that a superuser can load into any plain server with
 * ON_ERROR_STOP, again too: roles that are there already stay as they are. Roles of managed services are left out with
 * all that names them, tablespaces for their places on another machine, who granted what, and every statement that is not
 * known; what is left out stands there as a comment. Throws RangeError when it is no whole SQL.
 */
export function cleanGlobals(sql: string): CleanedGlobals {
  const known = splitStatements(sql).map(read)
  const roles = rolesIn(known)
  const told = new Set<string>()
  const leave = (why: string, { text }: Statement) => {
    told.add(why)
    return leftOut(text, why)
  }
  const parts = known.map((each) => {
    const why = whyLeftOut(each, roles)
    return why === undefined ? kept(each, roles) : leave(why, each.statement)
  })
  return { sql: parts.filter((part) => part !== '').join('\n'), leftOut: [...told] }
}

/** What all statements together say of roles. */
interface Roles {
  created: ReadonlySet<string>
  /** All that makes each what it is, by its name. */
  statements: ReadonlyMap<string, readonly Known[]>
  /** Whether the role of every server is no superuser there. */
  isOwnRoleLesser: boolean
}

function rolesIn(known: readonly Known[]): Roles {
  const own = known.filter(({ kind }) => kind === 'CREATE' || kind === 'ROLE' || kind === 'SETTING')
  const statements = Map.groupBy(own, ({ role = '' }) => role)
  return {
    created: new Set(own.filter(({ kind }) => kind === 'CREATE').map(({ role = '' }) => role)),
    statements,
    isOwnRoleLesser: (statements.get(ownRole) ?? []).some(
      ({ kind, statement }) => kind === 'ROLE' && has(statement, 'nosuperuser'),
    ),
  }
}

/** Why a statement is of no use on a plain server, as a sentence; undefined when it is. */
function whyLeftOut({ kind, role = '', member = '' }: Known, { created, isOwnRoleLesser }: Roles): string | undefined {
  const managed = [role, member].find(isManagedRole)
  if (managed !== undefined) return `Role ${quoteIdentifier(managed)} belongs to a managed service.`
  if (kind === 'TABLESPACE') {
    return 'Tablespaces lie in directories of the machine that they come from: create by hand those that are wanted.'
  }
  if (kind === 'UNKNOWN') return 'This statement is not known to be of use elsewhere.'
  if (kind === 'ROLE' || kind === 'SETTING') {
    if (role === ownRole) return `Role ${quoteIdentifier(ownRole)} stays as every server has it.`
    if (!created.has(role)) return `Role ${quoteIdentifier(role)} is not created here, and stays as it is.`
  }
  if (kind === 'MEMBERSHIP' && role === ownRole && isOwnRoleLesser) {
    return `Role ${quoteIdentifier(ownRole)} is no superuser where this comes from, and mostly is one elsewhere.`
  }
  return undefined
}

/** A statement as a plain server takes it; "" for what is part of the block that creates a role. */
function kept({ kind, role = '', member = '', statement }: Known, { statements }: Roles): string {
  if (kind === 'SESSION') return `${statement.text};\n`
  if (kind === 'CREATE') return roleBlock(role, ownStatements(statements.get(role) ?? [], role))
  if (kind === 'MEMBERSHIP') return onlyIfThere([role, member], withoutGrantor(statement))
  if (kind === 'PARAMETER') return guarded(withoutGrantor(statement))
  return ''
}

type Kind = 'SESSION' | 'CREATE' | 'ROLE' | 'SETTING' | 'MEMBERSHIP' | 'PARAMETER' | 'TABLESPACE' | 'UNKNOWN'

interface Known {
  kind: Kind
  /** The role that it is about, or that is granted. */
  role?: string | undefined
  /** The role that something is granted to. */
  member?: string | undefined
  statement: Statement
}

/** What a statement is, by its first words. */
function read(statement: Statement): Known {
  const { tokens } = statement
  const at = (index: number) => tokens[index]?.value ?? ''
  const words = tokens.slice(0, 3).map(keyword)
  const is = (...wanted: string[]) => wanted.every((word, index) => words[index] === word)
  const about = (kind: Kind, index: number): Known => ({ kind, role: at(index), statement })
  if (is('set')) return { kind: 'SESSION', statement }
  if (is('create', 'role')) return about('CREATE', 2)
  if (is('comment', 'on', 'role')) return about('ROLE', 3)
  if (is('alter', 'role')) return about(['set', 'in'].includes(keyword(tokens[3])) ? 'SETTING' : 'ROLE', 2)
  const isOnTablespace = tokens.some(
    (token, index) => keyword(token) === 'on' && keyword(tokens[index + 1]) === 'tablespace',
  )
  if (((is('create') || is('alter')) && words[1] === 'tablespace') || isOnTablespace)
    return { kind: 'TABLESPACE', statement }
  if (is('grant')) return readGrant(statement)
  return { kind: 'UNKNOWN', statement }
}

function readGrant(statement: Statement): Known {
  const { tokens } = statement
  const to = tokens.findIndex((token) => keyword(token) === 'to')
  const member = tokens[to + 1]?.value
  const isOnParameter = tokens.some(
    (token, index) => keyword(token) === 'on' && keyword(tokens[index + 1]) === 'parameter',
  )
  if (isOnParameter) return { kind: 'PARAMETER', member, statement }
  if (to !== 2) return { kind: 'UNKNOWN', statement }
  return { kind: 'MEMBERSHIP', role: tokens[1]?.value, member, statement }
}

/** A word that is no quoted name: only such a one is a keyword. */
function keyword(token: Token | undefined): string {
  return token?.kind === 'WORD' ? token.value : ''
}

function has({ tokens }: Statement, word: string): boolean {
  return tokens.some((token) => keyword(token) === word)
}

/** All that makes a role what it is, for the block that creates it. */
function ownStatements(own: readonly Known[], role: string): { sql: string; mayFail: boolean }[] {
  return own
    .filter(({ kind }) => role !== ownRole || kind === 'CREATE')
    .map(({ kind, statement }) => ({ sql: statement.text, mayFail: kind === 'SETTING' }))
}

/** Who granted says nothing elsewhere, and PostgreSQL 16 and newer refuse a grantor without the right to. */
function withoutGrantor({ text, tokens }: Statement): string {
  const by = tokens.findIndex((token, index) => keyword(token) === 'granted' && keyword(tokens[index + 1]) === 'by')
  return by === -1 ? text : text.slice(0, tokens[by]?.start).trimEnd()
}
