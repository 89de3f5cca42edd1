import { randomUUID } from 'node:crypto'
import { and, eq, isNull, notExists, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recordset } from '../../database/recordset.ts'
import { jobs } from '../../database/tables/job.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import {
  recoveryPointContents,
  recoveryPointSchemas,
  recoveryPointTables,
} from '../../database/tables/recovery-point-contents.ts'
import { isPending } from '../../job/states.ts'
import { type Arranged, arrange } from './arrange.ts'
import type { PointFacts } from './contents.ts'

/** So many rows are written by one statement: each takes about a tenth of a second. */
const atOnce = 5_000

export interface StageContents {
  facts: PointFacts
  /** The job that does it: what it leaves behind is removed when it is over. */
  jobId: string
  now: Date
}

/**
 * Writes down what a recovery point that is being made holds, in short statements of their own, so that however much it is
 * nobody waits for it. Nobody sees it before adoptContents; it answers the id to adopt it by. What jobs that are over have
 * left unadopted is removed.
 */
export async function stageContents(database: Database, { facts, jobId, now }: StageContents): Promise<string> {
  await sweepUnadopted(database)
  const id = randomUUID()
  const arranged = facts.databases.map(arrange)
  const databases = facts.databases.map(
    ({ schemas: _schemas, tables: _tables, partitionedTables: _parents, ...about }, at) => ({
      ...about,
      ...sumsOf(arranged[at]),
    }),
  )
  await database
    .insert(recoveryPointContents)
    .values({ id, jobId, databases, roles: [...facts.roles], recordedAt: now })
  for (const [at, { schemas, tables }] of arranged.entries()) {
    const place = { contents_id: id, database: at }
    for (const part of partsOf(schemas)) {
      const rows = part.map((schema) => ({ ...place, ...inColumns(schema) }))
      await database.execute(
        sql`insert into ${recoveryPointSchemas} select * from ${recordset(recoveryPointSchemas, rows)}`,
      )
    }
    for (const part of partsOf(tables)) {
      const rows = part.map((table) => ({ ...place, ...inColumns(table) }))
      await database.execute(
        sql`insert into ${recoveryPointTables} select * from ${recordset(recoveryPointTables, rows)}`,
      )
    }
  }
  return id
}

/**
 * Makes staged contents those of a recovery point: one short statement, for the transaction that records the point. A point
 * that has contents already keeps them: they cannot differ.
 */
export async function adoptContents(
  tx: Database,
  { contentsId, recoveryPointId }: { contentsId: string; recoveryPointId: string },
): Promise<void> {
  const known = tx
    .select()
    .from(sql`${recoveryPointContents} as known`)
    .where(sql`known.recovery_point_id = ${recoveryPointId}`)
  await tx
    .update(recoveryPointContents)
    .set({ recoveryPointId })
    .where(and(eq(recoveryPointContents.id, contentsId), notExists(known)))
}

/**
 * Writes down what a recovery point that is recorded already holds: one of an older version, one that was imported or
 * copied. In a transaction or, better where it is much, outside one. Nothing happens when it is known, or there is no such point.
 */
export async function recordContents(
  database: Database,
  { recoveryPointId, ...staged }: StageContents & { recoveryPointId: string },
): Promise<void> {
  const isWanted = and(
    eq(recoveryPoints.id, recoveryPointId),
    notExists(
      database.select().from(recoveryPointContents).where(eq(recoveryPointContents.recoveryPointId, recoveryPoints.id)),
    ),
  )
  if ((await database.$count(recoveryPoints, isWanted)) === 0) return
  const contentsId = await stageContents(database, staged)
  await database.transaction(async (tx) => {
    // The point may be removed at any moment, and another job may have been as quick.
    const [point] = await tx
      .select()
      .from(recoveryPoints)
      .where(eq(recoveryPoints.id, recoveryPointId))
      .for('no key update')
    if (point) await adoptContents(tx, { contentsId, recoveryPointId })
  })
  await discardContents(database, contentsId)
}

/** Removes staged contents that nobody adopted; adopted ones stay. */
export async function discardContents(database: Database, contentsId: string): Promise<void> {
  await database
    .delete(recoveryPointContents)
    .where(and(eq(recoveryPointContents.id, contentsId), isNull(recoveryPointContents.recoveryPointId)))
}

async function sweepUnadopted(database: Database): Promise<void> {
  const writer = database
    .select()
    .from(jobs)
    .where(and(eq(jobs.id, recoveryPointContents.jobId), isPending))
  await database
    .delete(recoveryPointContents)
    .where(and(isNull(recoveryPointContents.recoveryPointId), notExists(writer)))
}

function sumsOf({ schemas, tables }: Arranged = { schemas: [], tables: [] }) {
  return {
    schemaCount: schemas.length,
    listedTableCount: tables.length,
    tableCount: schemas.reduce((sum, { tableCount }) => sum + tableCount, 0),
    rowCount: schemas.reduce((sum, { rowCount }) => sum + rowCount, 0),
  }
}

function* partsOf<Row>(rows: readonly Row[]): Generator<Row[]> {
  for (let at = 0; at < rows.length; at += atOnce) yield rows.slice(at, at + atOnce)
}

/** A row named as its table's columns are. */
function inColumns(row: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]),
  )
}
