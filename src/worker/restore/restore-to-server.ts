import type { ServerAddress } from '../../engine/address.ts'
import { chooseRestoreTools } from '../../engine/choose-tools.ts'
import { createMissingRoles } from '../../engine/create-roles.ts'
import { findTools } from '../../engine/find-tools.ts'
import { inspectServer, type ServerReport } from '../../engine/inspect.ts'
import { publishRestores } from '../../engine/publish-restore.ts'
import { failureOf } from '../../failure.ts'
import type { JobRun, Outcome } from '../../job/handler.ts'
import type { RestoreReport, ServerRequest } from '../../restore/restore.ts'
import type { WorkerContext } from '../context.ts'
import type { Manifest } from '../point/manifest.ts'
import { openPoint } from '../point/read-point.ts'
import { addressOf, pointOf, serverOf } from '../subjects.ts'
import { keptOf } from './earlier-attempts.ts'
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
  const target = await run.subTask('Inspect the target server', () => inspectServer(address, { signal }))
  const { tools, reason } = chooseRestoreTools(await findTools({ extraDirectories: context.postgresDirectories }), {
    archiveToolMajor: opened.manifest.tools.major,
    targetVersionNumber: target.versionNumber,
  })
  run.note('Server', target.version)
  run.note('PostgreSQL tools', reason)
  run.note('Restored as', restoringRole(address, target, request))
  const roles =
    request.ownership.kind === 'KEEP'
      ? await run.subTask('Create missing roles', () => createRoles(run, address, opened.manifest))
      : { created: [], omitted: [] }
  await using staged = new AsyncDisposableStack()
  const databases = await stageAll({ context, run, opened, address, tools, request, staged })
  const report = reportOf(server.name, databases, roles)
  const differences = databases.flatMap((each) => each.differences)
  if (differences.length > 0) {
    const details = differences.map(({ database, message }) => `${JSON.stringify(database)}: ${message}`).join('\n')
    return { kind: 'failed', error: failureOf('ROWS_DIFFER', details), result: report }
  }
  const publications = databases.map(({ database }) => database.publication)
  await run.keep({ ...keptOf(run.job), restored: { report, publications } })
  const left = await run.subTask('Give the databases their names', () =>
    publishRestores(address, publications, { signal }),
  )
  for (const name of left) run.warn(`Database "${name}" is the empty one that was replaced: it could not be dropped.`)
  staged.move()
  return { kind: 'completed', result: report }
}

function restoringRole({ username }: ServerAddress, { isSuperuser }: ServerReport, { ownership }: ServerRequest) {
  if (ownership.kind === 'TO_ROLE') return `role "${ownership.role}", which everything belongs to`
  return isSuperuser
    ? `role "${username}", a superuser: what checks, indexes and generated columns call runs with all rights while it is restored; ownership TO_ROLE avoids that`
    : `role "${username}"`
}

function reportOf(
  destination: string,
  databases: readonly RestoredDatabase[],
  roles: { created: string[]; omitted: string[] },
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
    rolesCreated: roles.created,
    differences: databases.flatMap((each) => each.differences),
    omitted: [...roles.omitted, ...said(({ database }) => database.omitted)],
    warnings: said(({ database }) => database.warnings),
  }
}

/** Creates the roles that the server lacks; those that an earlier attempt created are told as well. */
async function createRoles(
  run: JobRun,
  address: ServerAddress,
  { roles }: Manifest,
): Promise<{ created: string[]; omitted: string[] }> {
  const before = new Set(keptOf(run.job).missingRoles)
  const { created, existing, omitted } = await createMissingRoles(address, roles, {
    signal: run.signal,
    beforeCreating: (names) => run.keep({ ...keptOf(run.job), missingRoles: [...before, ...names] }),
  })
  const all = [...existing.filter((name) => before.has(name)), ...created].sort()
  const sentences = omitted.map(({ role, what, reason }) => `Role "${role}" was created without ${what}: ${reason}`)
  for (const sentence of sentences) run.warn(sentence)
  if (all.length > 0) run.note('Roles created', `${all.join(', ')}: without passwords, set them before they sign in`)
  return { created: all, omitted: sentences }
}
