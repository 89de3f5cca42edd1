import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { adminDatabaseFor, type Publication, systemIdentifierOf } from './publication.ts'
import { openSession, type Session } from './session.ts'
import { findContents } from './target-database.ts'
import {
  dropReplaced,
  dropTemporary,
  isMarked,
  renameDatabase,
  replacedTokenOf,
  restoringTokenOf,
  temporaryNames,
} from './temporary-database.ts'

/** Restores of one job, none of which may be at work on purpose any more. */
export interface OwnRestores {
  isOwn: (token: string) => boolean
  /** The target of the restore with that token; undefined when it has none. */
  targetOf: (token: string) => string | undefined
  targetNames: readonly string[]
  /** What they meant to publish last, if they came so far. */
  publications: readonly Publication[]
}

export interface Settled {
  /** Whether the publications have got their names. They get them at one moment, so that one of them tells of all. */
  isPublished: boolean
  /** Targets that were published, and are no longer there. */
  gone: string[]
  /** Databases with temporary names that hold something of somebody else's, or are in use by somebody: they stay. */
  kept: string[]
}

interface Present {
  oid: number
  name: string
  comment: string | null
}

/**
 * Brings to a certain end what restores were at when they were lost: what has no name yet is dropped, it is found whether
 * the rest got theirs, and every target that was moved aside has its name back, or is dropped when something has that
 * name now. The order makes it certain, also beside a restore that does not know yet that it was given up: what is
 * dropped can get no name any more, and a renaming under way is waited for. May be done again at any time.
 */
export async function settleRestores(
  address: ServerAddress,
  own: OwnRestores,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Settled> {
  await using session = await openSession(address, adminDatabaseFor(address, own.targetNames), { signal })
  const settling: Settling = { address, session, own, signal, kept: [] }
  try {
    await dropUnfinished(settling)
    const found = await findPublished(session, own.publications)
    await giveBackTargets(settling)
    return { ...found, kept: settling.kept }
  } catch (error) {
    signal?.throwIfAborted()
    throw asEngineError(error, 'Removing what an earlier restore left')
  }
}

interface Settling {
  address: ServerAddress
  session: Session
  own: OwnRestores
  signal: AbortSignal | undefined
  kept: string[]
}

async function listDatabases({ sql }: Session): Promise<Present[]> {
  return sql<Present[]>`
    select oid::int8::float8 as oid, datname as name, shobj_description(oid, 'pg_database') as comment
    from pg_database order by datname`
}

async function dropUnfinished(settling: Settling): Promise<void> {
  for (const { name, comment } of await listDatabases(settling.session)) {
    const token = restoringTokenOf(name)
    if (token === undefined || !settling.own.isOwn(token)) continue
    if (isMarked(comment)) await dropTemporary(settling.session, name)
    else await dropEmpty(settling, name)
  }
}

async function findPublished(
  session: Session,
  publications: readonly Publication[],
): Promise<Pick<Settled, 'isPublished' | 'gone'>> {
  if (publications.length === 0) return { isPublished: false, gone: [] }
  const self = await systemIdentifierOf(session)
  const present = new Map((await listDatabases(session)).map((each) => [each.oid, each]))
  const isPublished = publications.some((publication) => isNamed(publication, present.get(publication.oid), self))
  const gone = isPublished ? publications.filter(({ oid }) => !present.has(oid)) : []
  return { isPublished, gone: gone.map(({ targetName }) => targetName) }
}

/** Whether a database is the one that was to be published, and has a name of its own. */
function isNamed(
  { token, targetName, systemIdentifier }: Publication,
  present: Present | undefined,
  self: string | null,
): boolean {
  if (!present || present.name === temporaryNames(token).restoring) return false
  // What earlier versions wrote down holds no identifier at all.
  const isKnown = self !== null && typeof systemIdentifier === 'string'
  return isKnown ? systemIdentifier === self : present.name === targetName && !isMarked(present.comment)
}

/** What is moved aside after this has looked stays: its name is free only for a moment, and it must not be lost. */
async function giveBackTargets(settling: Settling): Promise<void> {
  const { session, own } = settling
  const found = (await listDatabases(session)).map(({ name }) => name)
  const names = new Set(found)
  for (const name of found) {
    const token = replacedTokenOf(name)
    if (token === undefined || !own.isOwn(token)) continue
    const targetName = own.targetOf(token)
    const isFree = targetName !== undefined && !names.has(targetName)
    const done = isFree ? renameDatabase(session, name, targetName) : dropUnused(settling, name)
    if (isFree) names.add(targetName)
    await done.catch(async (error) => {
      // Whoever moved it aside may be giving it back at the same time.
      if ((await listDatabases(session)).some((each) => each.name === name)) throw error
    })
  }
}

async function dropEmpty({ address, session, signal, kept }: Settling, name: string): Promise<void> {
  if ((await findContents(address, name, signal)).length > 0) kept.push(name)
  else await dropTemporary(session, name)
}

/** A former target that somebody is at work in may hold something in a moment. */
async function dropUnused({ address, session, signal, kept }: Settling, name: string): Promise<void> {
  if ((await findContents(address, name, signal)).length > 0) return void kept.push(name)
  await dropReplaced(session, name).catch((error) => {
    if (asEngineError(error, '').code !== 'TARGET_IN_USE') throw error
    kept.push(name)
  })
}
