import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { ServerAddress } from './address.ts'
import { type ArchivePart, choosePart, useListOf, type WantedPart } from './archive/archive-part.ts'
import { withoutMade, withoutSuperuserEntries } from './archive/lesser-role.ts'
import { openArchive, readTocOf } from './archive/open-archive.ts'
import type { Toc, TocEntry } from './archive/read-toc.ts'
import type { Toolset } from './find-tools.ts'
import { isOnlyHarmlessError, toleratesHarmlessError } from './harmless-error.ts'
import type { DatabaseReport } from './inspect.ts'
import { makeSuperuserExtensions } from './make-extensions.ts'
import { type OwnerRole, requireOwnerRole } from './owner-role.ts'
import { quoteIdentifier } from './quote.ts'
import { runServerTool } from './run-tool.ts'
import { openSession, type Session } from './session.ts'

/** An archive in a file of this machine, whole and checked: several connections restore from it at once. */
export interface ArchiveFile {
  file: FileHandle
  /** How many connections. */
  jobs: number
}

/** Who owns what is restored: its owners of old, with their grants; one role; or the role that restores. */
export type RestoredOwnership = 'KEEP' | 'NONE' | { role: string }

export interface Filling {
  /** What dumpDatabase wrote. A stream is read to its end. */
  archive: Readable | ArchiveFile
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

/** Restores an archive into an empty database; `what` names the work for messages. Throws an EngineError or the archive's own error. */
export async function fillDatabase(
  address: ServerAddress,
  database: string,
  filling: Filling,
  what: string,
): Promise<Filled> {
  const { source, tools, signal, onBytes } = filling
  const { target, ...chosen } = await lookAndChoose(address, database, filling)
  const isHarmless = toleratesHarmlessError(tools, target.versionNumber) ? isOnlyHarmlessError : undefined
  const missing = source.tablespaces.filter((name) => !target.tablespaces.has(name))
  const args = ['--no-password', '--no-subscriptions', `--dbname=${database}`, ...ownershipOptions(filling)]
  if (!isHarmless) args.push('--exit-on-error')
  if (missing.length > 0) args.push('--no-tablespaces')
  if (!isStream(chosen.archive)) args.push(`--jobs=${chosen.archive.jobs}`)
  const warnings = await runServerTool(address, database, {
    tool: 'pg_restore',
    tools,
    what,
    ...(isStream(chosen.archive) ? { stdin: chosen.archive } : { archiveFile: chosen.archive.file.fd }),
    useList: chosen.useList,
    signal,
    onInput: onBytes,
    isHarmless,
    otherwise: 'RESTORE_FAILED',
    args,
  })
  const moved = missing.map((name) => `Tablespace ${quoteIdentifier(name)} does not exist: the default one is used.`)
  return { warnings: [...warnings, ...moved], omitted: chosen.omitted, part: chosen.part }
}

function isStream(archive: Readable | ArchiveFile): archive is Readable {
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
  await using session = await openSession(address, database, { signal: filling.signal })
  const target = await lookAtTarget(session, filling)
  return { target, ...(await choose(session, filling, target)) }
}

interface Target {
  versionNumber: number
  tablespaces: ReadonlySet<string>
  isSuperuser: boolean
  /** The role that everything is to belong to; undefined when it is not one. */
  owner: OwnerRole | undefined
}

async function lookAtTarget(session: Session, { ownership }: Filling): Promise<Target> {
  const rows = await session.sql<{ name: string }[]>`select spcname as name from pg_tablespace`
  const [self] = await session.sql<{ isSuperuser: boolean }[]>`
    select rolsuper as "isSuperuser" from pg_roles where rolname = current_user`
  return {
    versionNumber: session.versionNumber,
    tablespaces: new Set(rows.map(({ name }) => name)),
    isSuperuser: self?.isSuperuser === true,
    owner: typeof ownership === 'string' ? undefined : await requireOwnerRole(session, ownership.role),
  }
}

interface Chosen {
  archive: Readable | ArchiveFile
  /** Undefined: everything. */
  useList: string | undefined
  part: ArchivePart | undefined
  omitted: string[]
}

/** Decides which entries are restored: a part of them, and none that a role without SUPERUSER could not make. */
async function choose(session: Session, filling: Filling, target: Target): Promise<Chosen> {
  const { part: wanted, ownership } = filling
  const isLesser = ownership !== 'KEEP' && !(target.owner ?? target).isSuperuser
  if (!wanted && !isLesser) return { archive: filling.archive, useList: undefined, part: undefined, omitted: [] }
  const { toc, archive } = await openWhole(filling.archive)
  const part = wanted && choosePart(toc, wanted)
  const omitted = [...(part?.leftOut ?? [])]
  let entries = part?.entries ?? toc.entries
  if (isLesser) {
    const possible = withoutSuperuserEntries(entries)
    omitted.push(...possible.leftOut)
    entries = await afterExtensions(session, filling, target, possible.entries)
  }
  return { archive, useList: useListOf(entries), part, omitted }
}

async function openWhole(archive: Filling['archive']): Promise<{ toc: Toc; archive: Filling['archive'] }> {
  return isStream(archive) ? openArchive(archive) : { toc: await readTocOf(archive.file), archive }
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
