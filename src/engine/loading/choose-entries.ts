import type { Readable } from 'node:stream'
import type { ServerAddress } from '../address.ts'
import { type ArchivePart, choosePart } from '../archive/archive-part.ts'
import { withoutMade, withoutSuperuserEntries, withoutUnownable } from '../archive/lesser-role.ts'
import { lookIntoArchive, openArchive, readTocOf } from '../archive/open-archive.ts'
import type { Toc, TocEntry } from '../archive/read-toc.ts'
import { makeSuperuserExtensions } from '../make-extensions.ts'
import { type OwnerRole, requireOwnerRole } from '../owner-role.ts'
import { openSession, type Session } from '../session.ts'
import { type Filling, isStream, type RestoredOwnership, type SpooledArchive } from './filling.ts'

/** Looks at the database that is to be filled, and decides what of the archive is restored there. */
export async function lookAndChoose(
  address: ServerAddress,
  database: string,
  filling: Filling,
): Promise<Chosen & { target: Target }> {
  // Comparing what is stored may take hours before the archive begins: no session is kept idle meanwhile, which a server may end.
  if (!isStream(filling.archive)) await filling.archive.archive.toc()
  await using session = await openSession(address, database, { signal: filling.signal })
  const target = await lookAtTarget(session, filling)
  return { target, ...(await choose(session, filling, target)) }
}

export interface Target {
  versionNumber: number
  tablespaces: ReadonlySet<string>
  /** What a session may take for building an index. */
  indexMemoryKilobytes: number
  isSuperuser: boolean
  superusers: ReadonlySet<string>
  /** The role that everything is to belong to; undefined when it is not one. */
  owner: OwnerRole | undefined
}

async function lookAtTarget(session: Session, { ownership, archive }: Filling): Promise<Target> {
  const rows = await session.sql<{ name: string }[]>`select spcname as name from pg_tablespace`
  const superusers = await session.sql<{ name: string; isSelf: boolean }[]>`
    select rolname as name, rolname = current_user as "isSelf" from pg_roles where rolsuper`
  return {
    versionNumber: session.versionNumber,
    tablespaces: new Set(rows.map(({ name }) => name)),
    indexMemoryKilobytes: await indexMemoryOf(session, isStream(archive) ? 1 : archive.jobs),
    isSuperuser: superusers.some(({ isSelf }) => isSelf),
    superusers: new Set(superusers.map(({ name }) => name)),
    owner: typeof ownership === 'string' ? undefined : await requireOwnerRole(session, ownership.role),
  }
}

/**
 * Indexes are built quicker with more memory: a quarter of what the server was given for its buffers, 1 GB at most, is shared by the
 * sessions that build at once, where a share is more than the server is set to.
 */
async function indexMemoryOf({ sql }: Session, sessions: number): Promise<number> {
  const [row] = await sql<{ kilobytes: number }[]>`
    select greatest(maintenance.setting::int8,
      least(buffers.setting::int8 * current_setting('block_size')::int8 / 4096, 1048576) / ${sessions}::int8)::float8 as kilobytes
    from pg_settings maintenance, pg_settings buffers
    where maintenance.name = 'maintenance_work_mem' and buffers.name = 'shared_buffers'`
  return row?.kilobytes ?? 65_536
}

export interface Chosen {
  archive: Readable | SpooledArchive
  /** Undefined where it was not looked at, or could not be. */
  toc: Toc | undefined
  /** Undefined: everything. */
  entries: readonly TocEntry[] | undefined
  part: ArchivePart | undefined
  omitted: string[]
}

/** Decides which entries are restored: a part of them, and none that a role without SUPERUSER could not make or own. */
async function choose(session: Session, filling: Filling, target: Target): Promise<Chosen> {
  const { part: wanted, ownership } = filling
  const isLesser = ownership !== 'KEEP' && !(target.owner ?? target).isSuperuser
  if (!wanted && !isLesser) return chooseAll(filling, target)
  const { toc, archive } = await openWhole(filling.archive)
  const part = wanted && choosePart(toc, wanted)
  const omitted = [...(part?.leftOut ?? [])]
  let entries = part?.entries ?? toc.entries
  if (isLesser) {
    const possible = withoutSuperuserEntries(entries)
    omitted.push(...possible.leftOut)
    entries = await afterExtensions(session, filling, target, possible.entries)
  }
  if (ownership === 'KEEP') {
    const ownable = withoutUnownable(entries, target)
    omitted.push(...ownable.leftOut)
    entries = ownable.entries
  }
  return { archive, toc, entries, part, omitted }
}

/** Everything, but what an owner to be kept cannot own. What is in an archive of an unknown layout is pg_restore's to judge. */
async function chooseAll({ archive: source, ownership }: Filling, target: Target): Promise<Chosen> {
  const { archive, toc } = await openWithToc(source, ownership)
  const ownable = toc && ownership === 'KEEP' ? withoutUnownable(toc.entries, target) : undefined
  const omitted = ownable?.leftOut ?? []
  return { archive, toc, entries: omitted.length > 0 ? ownable?.entries : undefined, part: undefined, omitted }
}

/** With its table of contents, where that can be read; a stream is looked into for owners alone. */
async function openWithToc(
  source: Filling['archive'],
  ownership: RestoredOwnership,
): Promise<Pick<Chosen, 'archive' | 'toc'>> {
  if (!isStream(source)) return { archive: source, toc: await source.archive.toc() }
  if (ownership !== 'KEEP') return { archive: source, toc: undefined }
  const { archive, toc } = await lookIntoArchive(source)
  return { archive, toc }
}

async function openWhole(source: Filling['archive']): Promise<{ toc: Toc; archive: Filling['archive'] }> {
  if (isStream(source)) return openArchive(source)
  const { archive } = source
  const toc = await archive.toc()
  if (toc) return { toc, archive: source }
  await archive.whole
  return { toc: await readTocOf(archive.file), archive: source }
}

/** A superuser makes for the lesser role what that could not make itself. */
async function afterExtensions(
  session: Session,
  { source }: Filling,
  { isSuperuser, owner }: Target,
  entries: TocEntry[],
): Promise<TocEntry[]> {
  if (!owner || !isSuperuser) return entries
  const needed = new Set(entries.filter(({ kind }) => kind === 'EXTENSION').map(({ name }) => name))
  const extensions = source.extensions.filter(({ name }) => needed.has(name))
  return withoutMade(entries, await makeSuperuserExtensions(session, extensions, owner.name))
}
