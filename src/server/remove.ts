import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { jobs } from '../database/tables/job.ts'
import { postgresServers } from '../database/tables/server.ts'
import { isPending } from '../job/states.ts'
import { NotFound, Refusal } from '../refusal.ts'
import type { PostgresServer } from './server.ts'

/** The server is protected: its registration is needed by its backup instances. */
export class ServerInUse extends Refusal {
  readonly instanceNames: string[]

  constructor(name: string, instanceNames: string[]) {
    super(`Server "${name}" is protected by ${instanceNames.map((each) => `"${each}"`).join(', ')}.`, [
      'Delete those backup instances first and wait until they are purged; a deleted one can be had back until then.',
      'To protect another address, register it as a server of its own.',
    ])
    this.instanceNames = instanceNames
  }
}

/** A restore into the server is queued or running: it needs the server's registration. */
export class ServerBeingRestoredInto extends Refusal {
  readonly runningJobId: string

  constructor(name: string, runningJobId: string) {
    super(`A restore into server "${name}" is queued or running.`, ['Wait for its end, or cancel it first.'])
    this.runningJobId = runningJobId
  }
}

export interface RemoveServer {
  serverId: string
  actor: string
  now: Date
}

/** Forgets a registered server that no backup instance protects and no restore needs; the server itself is not touched. */
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
    await refuseWhileRestoredInto(tx, server)
    await tx.delete(postgresServers).where(eq(postgresServers.id, serverId))
    await recordAudit(tx, {
      actor,
      action: 'removeServer',
      subject: { kind: 'PostgresServer', id: server.id, name: server.name },
      before: { host: server.host, port: server.port, username: server.username, tlsMode: server.tlsMode },
      now,
    })
    return server
  })
}

/**
 * Throws ServerBeingRestoredInto while a restore into the server has not ended. The caller has locked the server for
 * update: a request for a restore waits for that.
 */
export async function refuseWhileRestoredInto(tx: Database, { id, name }: PostgresServer): Promise<void> {
  const [restore] = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.serverId, id), eq(jobs.operation, 'RESTORE'), isPending))
    .limit(1)
  if (restore) throw new ServerBeingRestoredInto(name, restore.id)
}
