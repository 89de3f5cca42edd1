import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import type { AuditFacts } from '../database/tables/audit.ts'
import { postgresServers } from '../database/tables/server.ts'
import { NotFound } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { checkCertificate, checkCredentials } from './register.ts'
import type { PostgresServer } from './server.ts'

export interface UpdateServerCredentials {
  serverId: string
  username: string
  password: string
  /** What is left out stays as it is; a null certificate trusts the usual authorities. */
  tlsMode?: PostgresServer['tlsMode']
  caCertificate?: string | null
  secrets: SecretBox
  actor: string
  now: Date
}

/** Replaces the user and password that Holdfast signs in with, or sets the first; jobs that start from now on use them. */
export async function updateServerCredentials(
  database: Database,
  { serverId, username, password, secrets, actor, now, ...tls }: UpdateServerCredentials,
): Promise<PostgresServer> {
  checkCredentials({ username, password })
  checkCertificate(tls.caCertificate ?? null)
  return database.transaction(async (tx) => {
    const [before] = await tx
      .select()
      .from(postgresServers)
      .where(eq(postgresServers.id, serverId))
      .for('no key update')
    if (!before) throw new NotFound('server')
    const [updated] = await tx
      .update(postgresServers)
      .set({ username, sealedPassword: secrets.seal(password), passwordSetAt: now, ...tls })
      .where(eq(postgresServers.id, serverId))
      .returning()
    if (!updated) throw new NotFound('server')
    await recordAudit(tx, {
      actor,
      action: 'updateServerCredentials',
      subject: { kind: 'PostgresServer', id: updated.id, name: updated.name },
      before: factsOf(before),
      after: factsOf(updated),
      now,
    })
    return updated
  })
}

function factsOf({ username, passwordSetAt, tlsMode, caCertificate }: PostgresServer): AuditFacts {
  const hasCaCertificate = caCertificate !== null
  return { username, passwordSetAt: passwordSetAt?.toISOString() ?? null, tlsMode, hasCaCertificate }
}
