import { asc, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { proofAssertions } from '../database/tables/proof-assertion.ts'
import type { ProofAssertion } from './proof-assertion.ts'

/** The assertions of each of many instances, in the order in which they are asked; instances without any are left out. */
export async function findProofAssertions(
  database: Database,
  instanceIds: readonly string[],
): Promise<Map<string, ProofAssertion[]>> {
  if (instanceIds.length === 0) return new Map()
  const { instanceId, position, name, database: databaseName, query } = proofAssertions
  const rows = await database
    .select({ instanceId, name, database: databaseName, query })
    .from(proofAssertions)
    .where(inArray(instanceId, [...instanceIds]))
    .orderBy(asc(instanceId), asc(position))
  return Map.groupBy(rows, (row) => row.instanceId)
}
