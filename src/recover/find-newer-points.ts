import { inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import type { Storage } from '../storage/contract.ts'

/** How many whole recovery points lie in a vault of which the catalogue knows nothing: they were made after the copy. */
export async function countUnknownPoints(database: Database, storage: Storage): Promise<number> {
  const prefixes: string[] = []
  for await (const { key } of storage.list('points/')) {
    if (key.endsWith('/point.json')) prefixes.push(key.slice(0, -'point.json'.length))
  }
  if (prefixes.length === 0) return 0
  return prefixes.length - (await database.$count(recoveryPoints, inArray(recoveryPoints.prefix, prefixes)))
}
