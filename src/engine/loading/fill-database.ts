import { Readable } from 'node:stream'
import type { ServerAddress } from '../address.ts'
import { type ArchivePart, choosePart, useListOf, type WantedPart } from '../archive/archive-part.ts'
import type { GrowingArchive } from '../archive/growing-archive.ts'
import { withoutMade, withoutSuperuserEntries, withoutUnownable } from '../archive/lesser-role.ts'
import { lookIntoArchive, openArchive, readTocOf } from '../archive/open-archive.ts'
import type { Toc, TocEntry } from '../archive/read-toc.ts'
import type { TableRows } from '../count-rows.ts'
import type { Toolset } from '../find-tools.ts'
import { isOnlyHarmless, toleratesHarmlessError } from '../harmless-error.ts'
import type { DatabaseReport } from '../inspect.ts'
import { makeSuperuserExtensions } from '../make-extensions.ts'
import { type OwnerRole, requireOwnerRole } from '../owner-role.ts'
import { quoteIdentifier } from '../quote.ts'
import { runServerTool } from '../run-tool.ts'
import { openSession, type Session } from '../session.ts'
import { type LoadRun, loadArchive } from './load-archive.ts'

/** An archive that comes into a file of this machine: several connections restore from it at once. */
export interface SpooledArchive {
  archive: GrowingArchive
  /** How many connections. */
  jobs: number
  /** How much space its tables took when they were dumped, as far as that is known. */
  tables: readonly Pick<TableRows, 'schema' | 'name' | 'bytes'>[]
}

/** Who owns what is restored: its owners of old, with their grants; one role; or the role that restores. */
export type RestoredOwnership = 'KEEP' | 'NONE' | { role: string }

export interface Filling {
  /** What dumpDatabase wrote. A stream is read to its end. */
  archive: Readable | SpooledArchive
  /** The database as it was when it was dumped. */
  source: DatabaseReport
  tools: Toolset
  ownership: RestoredOwnership
  /** What is restored of the database alone; all of it when left out. */
  part?: WantedPart | undefined
  signal: AbortSignal
  /** Hears of every piece of a stream that pg_restore takes. */
  onBytes?: ((bytes: number) => void) | undefined
}

export interface Filled {
  /** What pg_restore warned of, and what lies elsewhere than it did. */
  warnings: string[]
  /** What could not be restored and was left out, as a sentence each. */
  omitted: string[]
  /** What was chosen, when only a part is restored. */
  part: ArchivePart | undefined
}

/** After how many seconds the server asks a silent connection for a sign of life. One that waits for its rows is silent, and firewalls forget such. */
const keptAlive = { tcp_keepalives_idle: 60, tcp_keepalives_interval: 10 }

/** Restores an archive into an empty database; `what` names the work for messages. Throws an EngineError or the archive's own error. */
export async function fillDatabase(
  address: ServerAddress,
  database: string,
  filling: Filling,
  what: string,
): Promise<Filled> {
  const { source, tools, signal, onBytes } = filling
  const { target, archive, toc, entries, part, omitted } = await lookAndChoose(address, database, filling)
  const isHarmless = toleratesHarmlessError(tools, target.versionNumber) ? isOnlyHarmless : undefined
  const missing = source.tablespaces.filter((name) => !target.tablespaces.has(name))
  const common = ['--no-password', '--no-subscriptions', `--dbname=${database}`, ...ownershipOptions(filling)]
  if (!isHarmless) common.push('--exit-on-error')
  if (missing.length > 0) common.push('--no-tablespaces')
  const restore = ({ jobs, ...run }: LoadRun) =>
    runServerTool(address, database, {
      tool: 'pg_restore',
      tools,
      what,
      ...run,
      isHarmless: isHarmless?.(jobs),
      settings: { maintenance_work_mem: target.indexMemoryKilobytes, ...keptAlive },
      otherwise: 'RESTORE_FAILED',
      args: jobs > 1 ? [...common, `--jobs=${jobs}`] : common,
    })
  const useList = entries && useListOf(entries)
  const warnings = isStream(archive)
    ? await restore({ stdin: archive, onInput: onBytes, useList, jobs: 1, signal })
    : await loadSpooled(archive, { toc, entries, signal, restore })
  const moved = missing.map((name) => `Tablespace ${quoteIdentifier(name)} does not exist: the default one is used.`)
  return { warnings: [...warnings, ...moved], omitted, part }
}

interface SpooledLoading {
  toc: Toc | undefined
  entries: readonly TocEntry[] | undefined
  signal: AbortSignal
  restore: (run: LoadRun) => Promise<string[]>
}

async function loadSpooled(
  { archive, jobs, tables }: SpooledArchive,
  { toc, entries, signal, restore }: SpooledLoading,
): Promise<string[]> {
  if (toc) {
    const { isCompressed } = toc
    return loadArchive(archive, { jobs, entries: entries ?? toc.entries, isCompressed, tables, signal, restore })
  }
  // Nobody but pg_restore can tell what is in it, and that only when it is whole.
  await archive.whole
  return restore({ archiveFile: archive.file.fd, useList: entries && useListOf(entries), jobs, signal })
}

function isStream(archive: Readable | SpooledArchive): archive is Readable {
  return archive instanceof Readable
}

function ownershipOptions({ ownership }: Filling): string[] {
  if (ownership === 'KEEP') return []
  const role = ownership === 'NONE' ? [] : [`--role=${ownership.role}`]
  return ['--no-owner', '--no-acl', ...role]
}

async function lookAndChoose(
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

interface Target {
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

interface Chosen {
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
