import { inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'

const atOnce = 1_000
const header = 'point.json'

/**
 * How many whole recovery points there are, among the objects of a vault, of which the catalogue knows nothing: they were made
 * after the copy. However many objects there are.
 */
export async function countUnknownPoints(database: Database, objects: AsyncIterable<{ key: string }>): Promise<number> {
  let count = 0
  let prefixes: string[] = []
  const look = async () => {
    if (prefixes.length === 0) return
    count += prefixes.length - (await database.$count(recoveryPoints, inArray(recoveryPoints.prefix, prefixes)))
    prefixes = []
  }
  for await (const { key } of objects) {
    if (!key.endsWith(`/${header}`)) continue
    prefixes.push(key.slice(0, -header.length))
    if (prefixes.length === atOnce) await look()
  }
  await look()
  return count
}
