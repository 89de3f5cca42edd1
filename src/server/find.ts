import { eq, inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { postgresServers } from '../database/tables/server.ts'
import type { PostgresServer } from './server.ts'

/** The servers with these ids, in any order; ids of none are left out. */
export async function findServers(database: Database, ids: readonly string[]): Promise<PostgresServer[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(postgresServers)
    .where(inArray(postgresServers.id, [...ids]))
}

/** The server, which is not removed before the transaction ends. Undefined when there is none. */
export async function lockServer(tx: Database, serverId: string): Promise<PostgresServer | undefined> {
  const [server] = await tx.select().from(postgresServers).where(eq(postgresServers.id, serverId)).for('key share')
  return server
}

/** One page of all registered servers, newest first. */
export async function pageServers(database: Database, { page }: { page: PageRequest }): Promise<Page<PostgresServer>> {
  const { where, orderBy, limit } = keyset({ at: postgresServers.createdAt, id: postgresServers.id }, page)
  const rows = await database
    .select()
    .from(postgresServers)
    .where(where)
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many servers are registered. */
export async function countServers(database: Database): Promise<number> {
  return database.$count(postgresServers)
}
