import { chooseRestoreTools } from '../../engine/choose-tools.ts'
import { findTools, type Toolset } from '../../engine/find-tools.ts'
import { createSourceRoles, prepareScratch } from '../../engine/prepare-scratch.ts'
import type { ProofAssertion } from '../../instance/proof-assertion.ts'
import type { JobRun } from '../../job/handler.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { damageIn } from '../point/damage.ts'
import { type OpenPoint, readBytesOf } from '../point/read-point.ts'
import { drain } from '../streams.ts'
import { type CopyFacts, checkCopy } from './check-copy.ts'
import { databasesWithoutArchive } from './databases-without-archive.ts'
import { chooseScratchPrograms, type ServerPrograms } from './scratch-programs.ts'
import { promiseSpace, type ScratchServer, startScratchServer } from './scratch-server.ts'
import type { Checked, Findings } from './verdict.ts'

export interface RestoredPoint {
  point: OpenPoint
  assertions: readonly ProofAssertion[]
  findings: Findings
}

/**
 * Restores a point into a scratch server as real restores do, one database after the other, and compares what is there then
 * with what the backup counted. Differences are findings; whatever keeps the worker from restoring is thrown, and says
 * nothing against the point.
 */
export async function restorePoint(
  context: WorkerContext,
  run: JobRun,
  { point, assertions, findings }: RestoredPoint,
): Promise<Partial<Checked>> {
  const { manifest } = point
  const sourceMajor = Math.floor(manifest.server.versionNumber / 10_000)
  const toolsets = await findTools({ extraDirectories: context.postgresDirectories })
  const programs = await chooseScratchPrograms(toolsets, sourceMajor)
  const { tools, reason } = chooseRestoreTools(toolsets, {
    archiveToolMajor: manifest.tools.major,
    targetVersionNumber: programs.major * 10_000,
  })
  run.note('PostgreSQL tools', reason)
  run.note(
    'Scratch server',
    `PostgreSQL ${programs.version} in ${programs.binDir}; the source is ${manifest.server.version}.`,
  )
  findings.unanswered.push(...askedOfNothing(point, assertions))
  findings.damage.push(...databasesWithoutArchive(manifest))
  using _ = await promiseSpace(context, run, Math.max(...manifest.databases.map(({ report }) => report.sizeBytes)))
  await using server = await run.subTask('Start a scratch server', () => prepared(context, run, point, programs))
  await run.subTask('Create roles', () => createSourceRoles(server.admin, manifest.roles, { signal: server.signal }))
  const isSameMajor = programs.major === sourceMajor
  const facts = await restoreAll(run, { point, server, tools, isSameMajor, assertions, findings })
  return { ...totalsOf(point, facts), toolVersion: tools.version, serverVersion: programs.version }
}

async function prepared(
  context: WorkerContext,
  run: JobRun,
  { manifest }: OpenPoint,
  programs: ServerPrograms,
): Promise<ScratchServer> {
  await using starting = new AsyncDisposableStack()
  const server = starting.use(await startScratchServer(context, run, programs))
  const databases = manifest.databases.map(({ report }) => report)
  const missing = await prepareScratch(server.admin, { roles: server.roles, databases, signal: server.signal })
  if (missing.length > 0) {
    throw new WorkFailed(
      'EXTENSION_MISSING',
      `The scratch server, PostgreSQL ${programs.version} in ${programs.binDir}, lacks ${missing.join(', ')}: install their packages on the worker. Nothing is said against the recovery point.`,
    )
  }
  starting.move()
  return server
}

export interface Copying extends RestoredPoint {
  server: ScratchServer
  tools: Toolset
  /** Whether the scratch server is what the source was: else what it cannot take may be right all the same. */
  isSameMajor: boolean
}

async function restoreAll(run: JobRun, copying: Copying): Promise<CopyFacts[]> {
  const { point, server, findings } = copying
  const { artifacts } = point.manifest
  const facts: CopyFacts[] = []
  let before = 0
  let rowsDone = 0
  run.progress({ bytesDone: 0, bytesTotal: artifacts.reduce((sum, artifact) => sum + readBytesOf(artifact), 0) })
  for (const [index, artifact] of artifacts.entries()) {
    const name =
      artifact.database === null ? 'Read roles and tablespaces' : `Restore ${JSON.stringify(artifact.database)}`
    await damageIn(findings.damage, () =>
      run.subTask(name, async (task) => {
        const onBytes = (bytesDone: number) => {
          task.progress({ bytesDone, bytesTotal: readBytesOf(artifact) })
          run.progress({ bytesDone: before + bytesDone })
        }
        if (artifact.kind === 'GLOBALS') return point.prove(artifact, { signal: server.signal, onBytes }, drain)
        const copy = await checkCopy(run, { ...copying, artifact, index, onBytes })
        facts.push(copy)
        rowsDone += copy.rows
        run.progress({ rowsDone })
      }),
    )
    before += readBytesOf(artifact)
  }
  return facts
}

function totalsOf({ manifest }: OpenPoint, facts: readonly CopyFacts[]): Partial<Checked> {
  const sum = (of: (copy: CopyFacts) => number) => facts.reduce((total, copy) => total + of(copy), 0)
  return {
    plainBytes: manifest.artifacts.reduce((total, { digest }) => total + digest.plainBytes, 0),
    databases: facts.length,
    tables: sum(({ tables }) => tables),
    rows: sum(({ rows }) => rows),
    largeObjects: sum(({ largeObjects }) => largeObjects),
    indexes: facts.some(({ indexes }) => indexes === null) ? null : sum(({ indexes }) => indexes ?? 0),
    assertions: facts.flatMap(({ assertions }) => assertions),
  }
}

/** Assertions of databases that the point does not hold. */
function askedOfNothing({ manifest }: OpenPoint, assertions: readonly ProofAssertion[]): string[] {
  const names = new Set(manifest.databases.map(({ report }) => report.name))
  return assertions
    .filter(({ database }) => !names.has(database))
    .map(
      ({ name, database }) => `Assertion "${name}": the recovery point holds no database ${JSON.stringify(database)}.`,
    )
}
