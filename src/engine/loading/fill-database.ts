import type { ServerAddress } from '../address.ts'
import { type ArchivePart, useListOf } from '../archive/archive-part.ts'
import type { Toc, TocEntry } from '../archive/read-toc.ts'
import { isOnlyHarmless, toleratesHarmlessError } from '../harmless-error.ts'
import { quoteIdentifier } from '../quote.ts'
import { runServerTool } from '../run-tool.ts'
import { lookAndChoose } from './choose-entries.ts'
import { type Filling, isStream, type SpooledArchive } from './filling.ts'
import { type LoadRun, loadArchive } from './load-archive.ts'

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

function ownershipOptions({ ownership }: Filling): string[] {
  if (ownership === 'KEEP') return []
  const role = ownership === 'NONE' ? [] : [`--role=${ownership.role}`]
  return ['--no-owner', '--no-acl', ...role]
}
