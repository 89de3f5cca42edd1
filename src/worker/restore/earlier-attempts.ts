import type { ServerAddress } from '../../engine/address.ts'
import type { Publication } from '../../engine/publication.ts'
import { type OwnRestores, settleRestores } from '../../engine/settle-restores.ts'
import { temporaryNames } from '../../engine/temporary-database.ts'
import { untilDone } from '../../engine/until-done.ts'
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
async function takeUpEarlier(
  run: JobRun,
  address: ServerAddress,
  request: ServerRequest,
): Promise<RestoreReport | undefined> {
  const { restored, missingRoles } = keptOf(run.job)
  if (missingRoles.length > 0) run.note('Roles created', `${missingRoles.join(', ')}: by an earlier attempt`)
  const own = ownRestores(run, request, restored?.publications ?? [])
  const settled = await settleRestores(address, own, { signal: run.signal })
  for (const name of settled.kept) {
    run.warn(`Database "${name}" was set aside by an earlier attempt and is not empty, or in use: look at it.`)
  }
  if (!restored || !settled.isPublished) return undefined
  run.note('Restored', 'by an earlier attempt, whose worker was lost before it could say so')
  const { rolesCreated, omitted = [], warnings = [] } = restored.report
  noteRoles(run, rolesCreated)
  const leftOut = new Set(noteLeftOut(run, request))
  for (const text of [...omitted, ...warnings]) if (!leftOut.has(text)) run.warn(text)
  for (const name of settled.gone) run.warn(`Database "${name}" was restored, and is not there any more.`)
  return restored.report
}

/** Says which roles a restore created, and that nobody can sign in as one of them yet. */
export function noteRoles(run: JobRun, created: readonly string[]): void {
  if (created.length === 0) return
  run.note('Roles created', `${created.join(', ')}: without passwords, set them before they sign in`)
}

/** Says of a restore of all databases which stay out, a sentence each; a warning where one of them may hold something. */
export function noteLeftOut(run: JobRun, { leftOut = [], leftOutUnseen = [] }: ServerRequest): string[] {
  const empty = leftOut.map((name) => `Database ${JSON.stringify(name)} holds nothing and was left out.`)
  if (empty.length > 0) run.note('Left out', empty.join(' '))
  const unseen = leftOutUnseen.map(
    (name) =>
      `Database ${JSON.stringify(name)} holds no table and was left out. The backup, of version 0.3 or older, did not look whether it holds anything else: name it among the databases to have it.`,
  )
  for (const sentence of unseen) run.warn(sentence)
  return [...empty, ...unseen]
}

/** The databases of all attempts: their names tell the job, the attempt, and which of the request's databases they are. */
function ownRestores(run: JobRun, { databases }: ServerRequest, publications: readonly Publication[]): OwnRestores {
  const prefix = tokenOf(run, '')
  return {
    isOwn: (token) => token.startsWith(prefix),
    targetOf: (token) => databases[Number(/_(\d+)$/.exec(token)?.[1])]?.targetName,
    targetNames: databases.map(({ targetName }) => targetName),
    publications,
  }
}

/** As takeUpEarlier, on the server of a request, before it is restored again. */
export async function takeUpEarlierDatabases(
  context: WorkerContext,
  run: JobRun,
  request: ServerRequest,
): Promise<RestoreReport | undefined> {
  const server = await serverOf(context.database, request.serverId)
  const report = await takeUpEarlier(run, addressOf(server, context.secrets), request)
  const { restored, ...kept } = keptOf(run.job)
  // What is gone is not looked for again: another database may get its number one day.
  if (restored && !report) await run.keep(kept)
  return report
}

/** How long a server that cannot be asked is waited for, as it may just be restarted. */
const longestWaitMs = 60_000

/**
 * Drops the temporary databases that attempts of a restore left on its target server, and gives targets their names back.
 * What has its name stays. When the server cannot be asked for a minute, a warning says what to look for.
 */
export async function removeUnfinishedDatabases(
  context: WorkerContext,
  run: JobRun,
  request: ServerRequest,
): Promise<void> {
  const server = await serverOf(context.database, request.serverId)
  const address = addressOf(server, context.secrets)
  const until = AbortSignal.any([run.signal, AbortSignal.timeout(longestWaitMs)])
  const report = await untilDone(() => takeUpEarlier(run, address, request), until).catch((cause) => {
    const { restoring, replaced } = temporaryNames(tokenOf(run, ''))
    run.warn(
      `Server "${server.name}" could not be asked what is left there. Once this job has ended, drop databases whose names begin with "${restoring}"; a target that is missing is called "${replaced}…": ALTER DATABASE … RENAME TO … gives it its name back.`,
    )
    throw cause
  })
  if (!report) return
  const names = report.databases.map(({ targetName }) => JSON.stringify(targetName)).join(', ')
  run.warn(`Complete and in place all the same: ${names}.`)
}

/** Names the attempt in temporary databases: the job first, so that all its attempts can be found. */
export function tokenOf({ job }: JobRun, attempt: string): string {
  return `${job.id.replaceAll('-', '').slice(0, 20)}_${attempt}`
}
