import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { postgresServers } from '../database/tables/server.ts'
import { NotFound } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { checkCredentials } from './register.ts'
import type { PostgresServer } from './server.ts'

export interface UpdateServerCredentials {
  serverId: string
  username: string
  password: string
  secrets: SecretBox
  actor: string
  now: Date
}

/** Replaces the user and password that Holdfast signs in with; jobs that start from now on use them. */
export async function updateServerCredentials(
  database: Database,
  { serverId, username, password, secrets, actor, now }: UpdateServerCredentials,
): Promise<PostgresServer> {
  checkCredentials({ username, password })
  return database.transaction(async (tx) => {
    const [before] = await tx
      .select()
      .from(postgresServers)
      .where(eq(postgresServers.id, serverId))
      .for('no key update')
    if (!before) throw new NotFound('server')
    const [updated] = await tx
      .update(postgresServers)
      .set({ username, sealedPassword: secrets.seal(password), passwordSetAt: now })
      .where(eq(postgresServers.id, serverId))
      .returning()
    if (!updated) throw new NotFound('server')
    await recordAudit(tx, {
      actor,
      action: 'updateServerCredentials',
      subject: { kind: 'PostgresServer', id: updated.id, name: updated.name },
      before: { username: before.username, passwordSetAt: before.passwordSetAt.toISOString() },
      after: { username, passwordSetAt: now.toISOString() },
      now,
    })
    return updated
  })
}
