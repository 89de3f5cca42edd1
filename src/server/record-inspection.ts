import { eq } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { postgresServers } from '../database/tables/server.ts'

export interface RecordInspection {
  serverId: string
  versionNumber: number
  now: Date
}

/** Remembers which version the server had when it was last looked at. */
export async function recordInspection(
  database: Database,
  { serverId, versionNumber, now }: RecordInspection,
): Promise<void> {
  await database
    .update(postgresServers)
    .set({ versionNumber, inspectedAt: now })
    .where(eq(postgresServers.id, serverId))
}
