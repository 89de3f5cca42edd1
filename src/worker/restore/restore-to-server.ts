import type { ServerAddress } from '../../engine/address.ts'
import { chooseRestoreTools } from '../../engine/choose-tools.ts'
import { compareRows, rowsOfPart } from '../../engine/compare-rows.ts'
import { createMissingRoles } from '../../engine/create-roles.ts'
import { findTools, type Toolset } from '../../engine/find-tools.ts'
import { inspectServer } from '../../engine/inspect.ts'
import { type StagedDatabase, stageRestore } from '../../engine/stage-restore.ts'
import { dropLeftoverDatabases } from '../../engine/temporary-database.ts'
import type { JobRun, Outcome } from '../../job/handler.ts'
import type { DatabaseMapping, RestoreReport, ServerRequest } from '../../restore/restore.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { artifactOf, type Manifest } from '../point/manifest.ts'
import { type OpenPoint, openPoint, readBytesOf } from '../point/read-point.ts'
import { addressOf, pointOf, serverOf } from '../subjects.ts'

/**
 * Restores databases into a server, each under a temporary name; they get their own names when all of them are
 * complete and every table has the rows that the backup counted. On any failure the temporary ones are dropped.
 */
export async function restoreToServer(context: WorkerContext, run: JobRun, request: ServerRequest): Promise<Outcome> {
  const { point, vault } = await pointOf(context, run.job)
  const server = await serverOf(context.database, request.serverId)
  const address = addressOf(server, context.secrets)
  await removeUnfinishedDatabases(context, run, request)
  const { signal } = run
  const opened = await openPoint(context, { point, vault, signal })
  const target = await run.subTask('Inspect the target server', () => inspectServer(address, { signal }))
  const { tools, reason } = chooseRestoreTools(await findTools({ extraDirectories: context.postgresDirectories }), {
    archiveToolMajor: opened.manifest.tools.major,
    targetVersionNumber: target.versionNumber,
  })
  run.note('Server', target.version)
  run.note('PostgreSQL tools', reason)
  const rolesCreated =
    request.ownership.kind === 'KEEP'
      ? await run.subTask('Create missing roles', () => createRoles(run, address, opened.manifest))
      : []
  await using staged = new AsyncDisposableStack()
  const databases = await stageAll({ run, opened, address, tools, request, staged })
  await run.confirm()
  await run.subTask('Give the databases their names', () => publishAll(run, databases))
  const result: RestoreReport = {
    destination: server.name,
    databases: databases.map(({ mapping, database }) => ({
      ...mapping,
      tableCount: database.rows.tables.length,
      rowCount: database.rows.tables.reduce((sum, { rows }) => sum + rows, 0),
    })),
    files: [],
    rolesCreated,
  }
  return { kind: 'completed', result }
}

/** When one cannot be published, those before it stay, whole, under their names: the job then says which. */
async function publishAll(
  run: JobRun,
  databases: readonly { mapping: DatabaseMapping; database: StagedDatabase }[],
): Promise<void> {
  const published: string[] = []
  try {
    for (const { mapping, database } of databases) {
      await database.publish()
      published.push(JSON.stringify(mapping.targetName))
    }
  } catch (cause) {
    if (published.length > 0) run.warn(`Complete and in place all the same: ${published.join(', ')}.`)
    throw cause
  }
}

/** Drops the temporary databases that lost attempts of a restore left on its target server. */
export async function removeUnfinishedDatabases(
  context: WorkerContext,
  run: JobRun,
  { serverId }: ServerRequest,
): Promise<void> {
  const server = await serverOf(context.database, serverId)
  const { kept } = await dropLeftoverDatabases(addressOf(server, context.secrets), {
    tokenPrefix: tokenOf(run, ''),
    signal: run.signal,
  })
  for (const name of kept)
    run.warn(`Database "${name}" was set aside by an earlier attempt and is not empty: look at it.`)
}

interface Stage {
  run: JobRun
  opened: OpenPoint
  address: ServerAddress
  tools: Toolset
  request: ServerRequest
  /** Gets every staged database, so that all are dropped unless they were published. */
  staged: AsyncDisposableStack
}

async function stageAll(stage: Stage): Promise<{ mapping: DatabaseMapping; database: StagedDatabase }[]> {
  const { run, opened, request, staged } = stage
  const sizes = request.databases.map(({ name }) => sizeOf(opened.manifest, name))
  run.progress({ bytesDone: 0, bytesTotal: sizes.reduce((sum, size) => sum + size, 0) })
  const databases: { mapping: DatabaseMapping; database: StagedDatabase }[] = []
  let before = 0
  for (const [index, mapping] of request.databases.entries()) {
    const database = await run.subTask(`Restore ${JSON.stringify(mapping.name)}`, (task) =>
      stageOne(stage, mapping, index, (bytesDone) => {
        task.progress({ bytesDone, bytesTotal: sizes[index] ?? null })
        run.progress({ bytesDone: before + bytesDone })
      }),
    )
    databases.push({ mapping, database: staged.use(database) })
    before += sizes[index] ?? 0
    refuseDifferences(opened.manifest, mapping, database)
    for (const warning of database.warnings) run.warn(`${JSON.stringify(mapping.targetName)}: ${warning}`)
  }
  return databases
}

function sizeOf(manifest: Manifest, name: string): number {
  const artifact = artifactOf(manifest, name)
  return artifact ? readBytesOf(artifact) : 0
}

async function stageOne(
  { run, opened, address, tools, request }: Stage,
  { name, targetName }: DatabaseMapping,
  index: number,
  onBytes: (total: number) => void,
): Promise<StagedDatabase> {
  const { manifest } = opened
  const artifact = artifactOf(manifest, name)
  const source = manifest.databases.find(({ report }) => report.name === name)?.report
  if (!artifact || !source)
    throw new WorkFailed('GONE', `The recovery point holds no database ${JSON.stringify(name)}.`)
  const archive = await opened.open(artifact, run.signal, onBytes)
  return stageRestore(address, {
    archive,
    source,
    targetName,
    token: tokenOf(run, `${run.job.attempt}_${index}`),
    tools,
    ownership: request.ownership.kind === 'KEEP' ? 'KEEP' : 'NONE',
    part: request.part ?? undefined,
    signal: run.signal,
  })
}

function refuseDifferences(
  manifest: Manifest,
  { name, targetName }: DatabaseMapping,
  { rows, part }: StagedDatabase,
): void {
  const expected = manifest.databases.find(({ report }) => report.name === name)
  if (!expected) return
  const differences = compareRows(part ? rowsOfPart(expected, part.tables) : expected, rows)
  if (differences.length === 0) return
  const all = differences.map(({ message }) => message).join('\n')
  throw new WorkFailed('ROWS_DIFFER', `${JSON.stringify(targetName)}, restored from ${JSON.stringify(name)}:\n${all}`)
}

async function createRoles(run: JobRun, address: ServerAddress, { roles }: Manifest): Promise<string[]> {
  const { created, omitted } = await createMissingRoles(address, roles, { signal: run.signal })
  for (const { role, what, reason } of omitted) run.warn(`Role "${role}" was created without ${what}: ${reason}`)
  if (created.length > 0) {
    run.note('Roles created', `${created.join(', ')}: without passwords, set them before they sign in`)
  }
  return created
}

/** Names the attempt in temporary databases: the job first, so that all its attempts can be found. */
export function tokenOf({ job }: JobRun, attempt: string): string {
  return `${job.id.replaceAll('-', '').slice(0, 20)}_${attempt}`
}
