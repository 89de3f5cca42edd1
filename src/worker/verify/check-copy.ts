import { askAssertion } from '../../engine/ask-assertion.ts'
import { checkRelations } from '../../engine/check-relations.ts'
import { compareRows } from '../../engine/compare-rows.ts'
import { openCopy } from '../../engine/prepare-scratch.ts'
import { type StagedDatabase, stageRestore } from '../../engine/stage-restore.ts'
import { watchRestore } from '../../engine/watch-restore.ts'
import type { JobRun } from '../../job/handler.ts'
import type { CheckedAssertion } from '../../recovery-point/proof.ts'
import type { ManifestArtifact, ManifestDatabase } from '../point/manifest.ts'
import type { Copying } from './restore-point.ts'
import { differenceOf, withoutScratch } from './restore-verdict.ts'

const assertionTimeoutMs = 5 * 60_000

/** What was looked at in one restored database. */
export interface CopyFacts {
  tables: number
  rows: number
  largeObjects: number
  /** Null: the scratch server has no amcheck. */
  indexes: number | null
  assertions: CheckedAssertion[]
}

export interface CopyRequest extends Copying {
  artifact: ManifestArtifact
  index: number
  onBytes: (total: number) => void
}

/** Restores one database into the scratch server, compares it with what the backup counted, checks its indexes and asks its assertions; then it is dropped. */
export async function checkCopy(run: JobRun, copy: CopyRequest): Promise<CopyFacts> {
  const { artifact, point, server, findings } = copy
  const source = point.manifest.databases.find(({ report }) => report.name === artifact.database)
  const none = { tables: 0, rows: 0, largeObjects: 0, indexes: null, assertions: [] }
  if (!source) {
    findings.differences.push(`The manifest does not describe database ${JSON.stringify(artifact.database)}.`)
    return none
  }
  const staged = await stage(run, copy, source)
  if (!staged) return none
  await using database = staged
  await using _ = watchCopy(run, copy, database)
  const named = JSON.stringify(source.report.name)
  for (const sentence of database.omitted) run.warn(`${named}: ${sentence}`)
  findings.differences.push(...compareRows(source, database.rows).map(({ message }) => `${named}: ${message}`))
  const opening = { roles: server.roles, signal: server.signal }
  const schema = await withoutScratch(openCopy(server.admin, database.temporaryName, opening), server)
  return {
    tables: database.rows.tables.length,
    rows: database.rows.tables.reduce((sum, { rows }) => sum + rows, 0),
    largeObjects: database.rows.largeObjectCount,
    indexes: schema === null ? null : await checkIndexes(run, copy, { database, schema, named }),
    assertions: await askAll(copy, { database, source }),
  }
}

/** Restored under a name of its own, as the scratch server has a "postgres" already; undefined when what is stored does not restore. */
async function stage(
  run: JobRun,
  copy: CopyRequest,
  { report }: ManifestDatabase,
): Promise<StagedDatabase | undefined> {
  const { artifact, index, point, server, tools, findings, onBytes } = copy
  try {
    const archive = await point.open(artifact, server.signal, onBytes)
    return await stageRestore(server.as('restorer'), {
      archive,
      source: report,
      targetName: `holdfast_copy_${index}`,
      token: `proof_${index}`,
      tools,
      // Nobody but a superuser may give every object to the owner it had; who owns a copy that is dropped is of no account.
      ownership: 'NONE',
      signal: server.signal,
      onLife: () => run.alive(),
    })
  } catch (cause) {
    const difference = differenceOf(cause, copy)
    if (difference === undefined) return withoutScratch(Promise.reject(cause), server)
    findings.differences.push(difference)
    return undefined
  }
}

/** A large index, or an assertion, may be at work for hours and tell of nothing. */
function watchCopy(run: JobRun, { server: { admin } }: CopyRequest, { temporaryName }: StagedDatabase) {
  const watched = { address: admin, adminDatabase: admin.maintenanceDatabase }
  return watchRestore(watched, temporaryName, { onLife: () => run.alive() })
}

interface Restored {
  database: StagedDatabase
}

async function checkIndexes(
  run: JobRun,
  { server, findings }: CopyRequest,
  { database, schema, named }: Restored & { schema: string; named: string },
): Promise<number> {
  const checking = checkRelations(server.as('restorer'), database.temporaryName, { schema, signal: server.signal })
  const facts = await withoutScratch(checking, server)
  findings.differences.push(...facts.findings.map((finding) => `${named}: ${finding}`))
  for (const sentence of facts.unchecked) run.warn(`${named}: ${sentence}`)
  return facts.indexes
}

async function askAll(
  { assertions, server, findings }: CopyRequest,
  { database, source }: Restored & { source: ManifestDatabase },
): Promise<CheckedAssertion[]> {
  const answered: CheckedAssertion[] = []
  const reader = server.as('reader')
  for (const { name, database: asked, query } of assertions) {
    if (asked !== source.report.name) continue
    const how = { query, timeoutMs: assertionTimeoutMs, signal: server.signal }
    const answer = await withoutScratch(askAssertion(reader, database.temporaryName, how), server)
    if ('unusable' in answer) {
      findings.unanswered.push(`Assertion "${name}" of ${JSON.stringify(asked)} has no answer: ${answer.unusable}.`)
      continue
    }
    answered.push({ name, database: asked, holds: answer.holds })
    if (!answer.holds) findings.differences.push(`Assertion "${name}" of ${JSON.stringify(asked)} does not hold.`)
  }
  return answered
}
