import type { ServerAddress } from '../../engine/address.ts'
import { chooseRestoreTools } from '../../engine/choose-tools.ts'
import { createMissingRoles, type OmittedPart } from '../../engine/create-roles.ts'
import { findTools } from '../../engine/find-tools.ts'
import { describeServer, type RoleReport, type ServerDescription } from '../../engine/inspect.ts'
import { type FormerTarget, publishRestores } from '../../engine/publish-restore.ts'
import { failureOf } from '../../failure.ts'
import { type JobRun, type Outcome, RunStopped } from '../../job/handler.ts'
import type { RestoreReport, ServerRequest } from '../../restore/restore.ts'
import type { WorkerContext } from '../context.ts'
import { openPoint } from '../point/read-point.ts'
import { addressOf, pointOf, serverOf } from '../subjects.ts'
import { type Kept, keptOf, noteLeftOut, noteRoles } from './earlier-attempts.ts'
import { storageFailure } from './file-failure.ts'
import { neededRoles } from './needed-roles.ts'
import { type RestoredDatabase, stageAll } from './stage-databases.ts'

/**
 * Restores databases into a server, each under a temporary name; all get their own names at one moment, when every one
 * is complete and its tables have the rows that the backup counted. On any failure the temporary ones are dropped.
 */
export async function restoreToServer(context: WorkerContext, run: JobRun, request: ServerRequest): Promise<Outcome> {
  const { point, vault } = await pointOf(context, run.job)
  const server = await serverOf(context.database, request.serverId)
  const address = addressOf(server, context.secrets)
  const { signal } = run
  const opened = await openPoint(context, { point, vault, signal, onHeaderDamage: run.warn })
  const target = await run.subTask('Inspect the target server', () => describeServer(address, { signal }))
  const { tools, reason } = chooseRestoreTools(await findTools({ extraDirectories: context.postgresDirectories }), {
    archiveToolMajor: opened.manifest.tools.major,
    targetVersionNumber: target.versionNumber,
  })
  run.note('Server', target.version)
  run.note('PostgreSQL tools', reason)
  run.note('Restored as', restoringRole(address, target, request))
  const roles =
    request.ownership.kind === 'KEEP'
      ? await run.subTask('Create missing roles', () =>
          createRoles(run, address, neededRoles(opened.manifest, request)),
        )
      : { created: [], omitted: [] }
  // A server that goes away, or is slow to drop a database, keeps what was made there: abandon looks for it once more.
  run.leavesBehind()
  await using failing = new AsyncDisposableStack()
  const stay = roles.created.join(', ')
  if (stay !== '') failing.defer(() => run.warn(`Roles that were created for the restore are still there: ${stay}.`))
  await using staged = new AsyncDisposableStack()
  const databases = await stageAll({ context, run, opened, address, tools, request, staged }).catch((cause) => {
    leaveToAbandon(run, staged)
    // The one file system that is written to: a vault's errors are told by the storage.
    throw storageFailure(cause, context.spoolDirectory)
  })
  const report = reportOf(server.name, databases, { ...roles, leftOut: noteLeftOut(run, request) })
  const differences = databases.flatMap((each) => each.differences)
  if (differences.length > 0) {
    const details = differences.map(({ database, message }) => `${JSON.stringify(database)}: ${message}`).join('\n')
    return { kind: 'failed', error: failureOf('ROWS_DIFFER', details), result: report }
  }
  const publications = databases.map(({ database }) => database.publication)
  await run.keep({ ...keptOf(run.job), restored: { report, publications } })
  const publishing = run.subTask('Give the databases their names', () =>
    publishRestores(address, publications, { signal }),
  )
  const left = await publishing.catch((cause) => {
    leaveToAbandon(run, staged)
    throw cause
  })
  for (const former of left) run.warn(whyLeft(former))
  staged.move()
  failing.move()
  return { kind: 'completed', result: report }
}

function whyLeft({ name, holds }: FormerTarget): string {
  if (holds.length === 0) return `Database "${name}" is the empty one that was replaced: it could not be dropped.`
  return `Database "${name}" is the one that was replaced. It was empty then, and holds ${holds.join(', ')} by now: look at it.`
}

/** Dropping databases takes a server longer than whoever cancels wants to wait: what nobody goes on with is abandon's. */
function leaveToAbandon({ signal }: JobRun, staged: AsyncDisposableStack): void {
  if (signal.reason instanceof RunStopped && signal.reason.reason === 'CANCELLED') staged.move()
}

function restoringRole({ username }: ServerAddress, { isSuperuser }: ServerDescription, { ownership }: ServerRequest) {
  const isToRole = ownership.kind === 'TO_ROLE'
  const role = isToRole ? `role "${ownership.role}", which everything belongs to` : `role "${username}"`
  if (!isSuperuser) return role
  return isToRole
    ? `${role}, by superuser "${username}": what checks, indexes and generated columns call can take up all rights again`
    : `${role}, a superuser: what checks, indexes and generated columns call runs with all rights while it is restored`
}

function reportOf(
  destination: string,
  databases: readonly RestoredDatabase[],
  { created, omitted, leftOut }: { created: string[]; omitted: string[]; leftOut: string[] },
): RestoreReport {
  const said = (texts: (each: RestoredDatabase) => string[]) =>
    databases.flatMap((each) => texts(each).map((text) => `${JSON.stringify(each.mapping.targetName)}: ${text}`))
  return {
    destination,
    databases: databases.map(({ mapping, database }) => ({
      ...mapping,
      tableCount: database.rows.tables.length,
      rowCount: database.rows.tables.reduce((sum, { rows }) => sum + rows, 0),
    })),
    files: [],
    rolesCreated: created,
    differences: databases.flatMap((each) => each.differences),
    omitted: [...leftOut, ...omitted, ...said(({ database }) => database.omitted)],
    warnings: said(({ database }) => database.warnings),
  }
}

/** Creates those roles that the server lacks; those that an earlier attempt created, and what they lack, are told as well. */
async function createRoles(
  run: JobRun,
  address: ServerAddress,
  roles: readonly RoleReport[],
): Promise<{ created: string[]; omitted: string[] }> {
  const before = new Set(keptOf(run.job).missingRoles)
  const { created, existing } = await createMissingRoles(address, roles, {
    signal: run.signal,
    beforeCreating: (names) => run.keep({ ...keptOf(run.job), missingRoles: [...before, ...names] }),
    // Written down before they are there: whoever finds them there finds this, too.
    beforeCommitting: (omitted) => run.keep(withOmitted(keptOf(run.job), omitted)),
  })
  const all = [...existing.filter((name) => before.has(name)), ...created].sort()
  const sentences = keptOf(run.job).omittedOfRoles ?? []
  for (const sentence of sentences) run.warn(sentence)
  noteRoles(run, all)
  return { created: all, omitted: sentences }
}

/** An attempt that was lost before the roles were there may have said the same. */
function withOmitted(kept: Kept, omitted: readonly OmittedPart[]): Kept {
  const sentences = omitted.map(({ role, what, reason }) => `Role "${role}" was created without ${what}: ${reason}`)
  return { ...kept, omittedOfRoles: [...new Set([...(kept.omittedOfRoles ?? []), ...sentences])] }
}
