import { randomUUID } from 'node:crypto'
import { and, eq, notExists, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { postgresServers } from '../database/tables/server.ts'
import type { PostgresServer } from './server.ts'

export interface ImportedServer {
  name: string
  host: string
  port: number
  /** What the vault does not tell is as for a server that is registered anew. */
  tlsMode: PostgresServer['tlsMode']
  maintenanceDatabase: string
  versionNumber: number
  /** The vault that an instance of it is imported from. */
  vaultId: string
  now: Date
}

/**
 * The server that an imported backup instance is of: the registered one of the same name and address, unless the vault
 * protects that already, or else a new one without credentials, under another name where its own is taken.
 */
export async function findOrImportServer(
  tx: Database,
  { vaultId, now, ...server }: ImportedServer,
): Promise<{ server: PostgresServer; isNew: boolean }> {
  const { name, host, port } = server
  const protecting = tx
    .select({ one: sql`1` })
    .from(backupInstances)
    .where(and(eq(backupInstances.serverId, postgresServers.id), eq(backupInstances.vaultId, vaultId)))
  const isSame = and(eq(postgresServers.name, name), eq(postgresServers.host, host), eq(postgresServers.port, port))
  const [existing] = await tx
    .select()
    .from(postgresServers)
    .where(and(isSame, notExists(protecting)))
    .for('key share')
  if (existing) return { server: existing, isNew: false }
  for (let turn = 1; ; turn++) {
    const [added] = await tx
      .insert(postgresServers)
      .values({ ...server, id: randomUUID(), name: turn === 1 ? name : `${name} (${turn})`, createdAt: now })
      .onConflictDoNothing({ target: postgresServers.name })
      .returning()
    if (added) return { server: added, isNew: true }
  }
}
