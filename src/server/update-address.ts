import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import type { AuditFacts } from '../database/tables/audit.ts'
import { postgresServers } from '../database/tables/server.ts'
import { InvalidInput, NotFound } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { checkCertificate, checkCredentials, checkHost, checkIdentifier, checkPort } from './register.ts'
import { refuseWhileRestoredInto } from './remove.ts'
import type { PostgresServer } from './server.ts'

export interface UpdateServerAddress {
  serverId: string
  host: string
  /** What is left out stays as it is; a null certificate trusts the usual authorities. */
  port?: number
  maintenanceDatabase?: string
  tlsMode?: PostgresServer['tlsMode']
  caCertificate?: string | null
  /** Typed again, so that it is sent to no place that it was not given for; null where none is set. */
  password: string | null
  secrets: SecretBox
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

/**
 * Moves a registered server to where it is now, as after a failover; jobs that start from now on dial that. Nothing is
 * dialled by this: validateForBackup says whether the server there can be backed up. Throws ServerBeingRestoredInto while
 * a restore into it has not ended: what that has made lies where the server was.
 */
export async function updateServerAddress(
  database: Database,
  { serverId, password, secrets, dryRun, actor, now, ...address }: UpdateServerAddress,
): Promise<PostgresServer> {
  const { host, port, maintenanceDatabase, caCertificate = null } = address
  checkHost(host)
  if (port !== undefined) checkPort(port)
  if (maintenanceDatabase !== undefined) checkIdentifier('maintenanceDatabase', maintenanceDatabase)
  checkCertificate(caCertificate)
  return carryOut(database, { dryRun }, async (tx) => {
    const isServer = eq(postgresServers.id, serverId)
    const [before] = await tx.select().from(postgresServers).where(isServer).for('update')
    if (!before) throw new NotFound('server')
    await refuseWhileRestoredInto(tx, before)
    checkPassword(before, password)
    const typed = password !== null && { sealedPassword: secrets.seal(password), passwordSetAt: now }
    const [updated] = await tx
      .update(postgresServers)
      .set({ ...address, ...typed })
      .where(isServer)
      .returning()
    if (!updated) throw new NotFound('server')
    await recordAudit(tx, {
      actor,
      action: 'updateServerAddress',
      subject: { kind: 'PostgresServer', id: updated.id, name: updated.name },
      before: factsOf(before),
      after: factsOf(updated),
      now,
    })
    return updated
  })
}

function checkPassword({ username, sealedPassword }: PostgresServer, password: string | null): void {
  if (username === null || sealedPassword === null) {
    if (password === null) return
    throw new InvalidInput('password', 'No role is set to sign in with: the server was imported.', [
      'Leave the password out, and set both with updateServerCredentials.',
    ])
  }
  if (password === null) {
    throw new InvalidInput('password', `The password of "${username}" is sent to no place that it was not given for.`, [
      'Give the password that the role has there.',
    ])
  }
  checkCredentials({ username, password })
}

function factsOf({ host, port, maintenanceDatabase, tlsMode, caCertificate }: PostgresServer): AuditFacts {
  return { host, port, maintenanceDatabase, tlsMode, hasCaCertificate: caCertificate !== null }
}
