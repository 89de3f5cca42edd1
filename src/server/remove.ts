import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { postgresServers } from '../database/tables/server.ts'
import { NotFound, Refusal } from '../refusal.ts'
import type { PostgresServer } from './server.ts'

/** The server is protected: its registration is needed by its backup instances. */
export class ServerInUse extends Refusal {
  readonly instanceNames: string[]

  constructor(name: string, instanceNames: string[]) {
    super(`Server "${name}" is protected by ${instanceNames.map((each) => `"${each}"`).join(', ')}.`, [
      'Backup instances cannot be deleted yet: to protect another address, register it as a server of its own.',
    ])
    this.instanceNames = instanceNames
  }
}

export interface RemoveServer {
  serverId: string
  actor: string
  now: Date
}

/** Forgets a registered server that no backup instance protects; the server itself is not touched. */
export async function removeServer(
  database: Database,
  { serverId, actor, now }: RemoveServer,
): Promise<PostgresServer> {
  return database.transaction(async (tx) => {
    const [server] = await tx.select().from(postgresServers).where(eq(postgresServers.id, serverId)).for('update')
    if (!server) throw new NotFound('server')
    const protectedBy = await tx
      .select({ name: backupInstances.name })
      .from(backupInstances)
      .where(eq(backupInstances.serverId, serverId))
    if (protectedBy.length > 0)
      throw new ServerInUse(
        server.name,
        protectedBy.map((each) => each.name),
      )
    await tx.delete(postgresServers).where(eq(postgresServers.id, serverId))
    await recordAudit(tx, {
      actor,
      action: 'removeServer',
      subject: { kind: 'PostgresServer', id: server.id, name: server.name },
      now,
    })
    return server
  })
}
