import type { ServerAddress } from '../../engine/address.ts'
import { findPublished, giveBackTargets, type Publication } from '../../engine/publish-restore.ts'
import { dropLeftoverDatabases } from '../../engine/temporary-database.ts'
import type { JobRun } from '../../job/handler.ts'
import type { RestoreReport, ServerRequest } from '../../restore/restore.ts'
import type { WorkerContext } from '../context.ts'
import { addressOf, serverOf } from '../subjects.ts'

/** What the attempts of a restore into a server keep for those after them. */
export interface Kept {
  /** Roles that the server lacked when an attempt was about to create them. */
  missingRoles: string[]
  /** What was left out of those that were created, a sentence each. */
  omittedOfRoles?: string[]
  /** Written when everything is restored and compared, before it gets its names. */
  restored?: { report: RestoreReport; publications: Publication[] }
}

/** What earlier attempts kept. */
export function keptOf({ kept }: JobRun['job']): Kept {
  // Written by the attempts of this very job only.
  return (kept as Kept | null) ?? { missingRoles: [] }
}

/**
 * The report of an earlier attempt whose databases have got their names, but whose worker was lost before it could say so.
 * Undefined when there is none: then everything that earlier attempts left is gone, and targets have their names back.
 */
async function takeUpEarlier(run: JobRun, address: ServerAddress): Promise<RestoreReport | undefined> {
  const { signal } = run
  const { restored, missingRoles } = keptOf(run.job)
  if (missingRoles.length > 0) run.note('Roles created', `${missingRoles.join(', ')}: by an earlier attempt`)
  const found = restored && (await findPublished(address, restored.publications, { signal }))
  if (restored && !found?.isPublished) await giveBackTargets(address, restored.publications)
  const { kept } = await dropLeftoverDatabases(address, { tokenPrefix: tokenOf(run, ''), signal })
  for (const name of kept) {
    run.warn(`Database "${name}" was set aside by an earlier attempt and is not empty: look at it.`)
  }
  if (!restored || !found?.isPublished) return undefined
  run.note('Restored', 'by an earlier attempt, whose worker was lost before it could say so')
  const { rolesCreated, omitted = [], warnings = [] } = restored.report
  noteRoles(run, rolesCreated)
  for (const text of [...omitted, ...warnings]) run.warn(text)
  for (const name of found.gone) run.warn(`Database "${name}" was restored, and is not there any more.`)
  return restored.report
}

/** Says which roles a restore created, and that nobody can sign in as one of them yet. */
export function noteRoles(run: JobRun, created: readonly string[]): void {
  if (created.length === 0) return
  run.note('Roles created', `${created.join(', ')}: without passwords, set them before they sign in`)
}

/** As takeUpEarlier, on the server of a request. */
export async function takeUpEarlierDatabases(
  context: WorkerContext,
  run: JobRun,
  { serverId }: ServerRequest,
): Promise<RestoreReport | undefined> {
  const server = await serverOf(context.database, serverId)
  return takeUpEarlier(run, addressOf(server, context.secrets))
}

/** Drops the temporary databases that lost attempts of a restore left on its target server. What has its name stays. */
export async function removeUnfinishedDatabases(
  context: WorkerContext,
  run: JobRun,
  request: ServerRequest,
): Promise<void> {
  const report = await takeUpEarlierDatabases(context, run, request)
  if (!report) return
  const names = report.databases.map(({ targetName }) => JSON.stringify(targetName)).join(', ')
  run.warn(`Complete and in place all the same: ${names}.`)
}

/** Names the attempt in temporary databases: the job first, so that all its attempts can be found. */
export function tokenOf({ job }: JobRun, attempt: string): string {
  return `${job.id.replaceAll('-', '').slice(0, 20)}_${attempt}`
}
