import { and, desc, eq, gt, gte, not } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { isAnomalous, recoveryPoints } from '../../database/tables/recovery-point.ts'
import { recoveryPointContents, recoveryPointTables } from '../../database/tables/recovery-point-contents.ts'
import type { ProofRules } from '../../policy/policy.ts'
import { isOriginal } from '../../recovery-point/find.ts'
import type { ContainedDatabase } from '../../recovery-point/recovery-point.ts'
import {
  type ContentFall,
  compareContent,
  findEmptied,
  leastEmptied,
  type TableContent,
} from '../../retention/compare-content.ts'

/** So many of a point's tables are compared. */
const mostTables = 1_000

export interface FindAnomalies {
  instanceId: string
  /** What the new point holds. */
  databases: readonly ContainedDatabase[]
  /** The policy's; null: nothing is compared. */
  gate: ProofRules['anomalyGate']
  /** A point that is not compared with: the new one itself, once it is recorded. */
  except?: string
  /** Its tables, where they are known: one that was emptied among many is found by that alone. */
  contents?: readonly { name: string; tables: readonly { schema: string; name: string; rows: number }[] }[]
}

/**
 * What a new point of an instance holds much less of than the last original before it that is available, was read back,
 * and is not suspicious itself; nothing where there is no such point. However many points fell since, they are all compared with
 * the last good one.
 */
export async function findAnomalies(
  database: Database,
  { instanceId, databases, gate, except, contents = [] }: FindAnomalies,
): Promise<ContentFall[]> {
  if (!gate) return []
  const newest = await database
    .select({ id: recoveryPoints.id, databases: recoveryPoints.databases })
    .from(recoveryPoints)
    .where(
      and(
        eq(recoveryPoints.instanceId, instanceId),
        eq(recoveryPoints.state, 'AVAILABLE'),
        gt(recoveryPoints.proof, 'WRITTEN'),
        not(isAnomalous),
        // A copy does not say whether its original is suspicious.
        isOriginal,
      ),
    )
    .orderBy(desc(recoveryPoints.createdAt), desc(recoveryPoints.id))
    .limit(2)
  const baseline = newest.find(({ id }) => id !== except)
  if (!baseline) return []
  const tables = contents.flatMap(({ name: database, tables: listed }) =>
    listed.map(({ schema, name, rows: rowCount }) => ({ database, schema, name, rowCount })),
  )
  const before = tables.length === 0 ? [] : await findLargeTables(database, baseline.id)
  return [
    ...compareContent(baseline.databases, databases, gate),
    ...findEmptied(before, tables, { databases: baseline.databases, limits: gate }),
  ]
}

/** The tables of a point that may be missed, the largest first; none where it is not known what it holds. */
async function findLargeTables(database: Database, recoveryPointId: string): Promise<TableContent[]> {
  const rows = await database
    .select({
      databases: recoveryPointContents.databases,
      position: recoveryPointTables.database,
      schema: recoveryPointTables.schema,
      name: recoveryPointTables.name,
      rowCount: recoveryPointTables.rowCount,
    })
    .from(recoveryPointContents)
    .innerJoin(recoveryPointTables, eq(recoveryPointTables.contentsId, recoveryPointContents.id))
    .where(
      and(
        eq(recoveryPointContents.recoveryPointId, recoveryPointId),
        // Partitions come and go.
        eq(recoveryPointTables.kind, 'TABLE'),
        gte(recoveryPointTables.rowCount, leastEmptied.rows),
      ),
    )
    .orderBy(desc(recoveryPointTables.rowCount))
    .limit(mostTables)
  return rows.flatMap(({ databases, position, ...table }) => {
    const name = databases[position]?.name
    return name === undefined ? [] : [{ database: name, ...table }]
  })
}
