import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob, PendingJobExists } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import { InvalidInput, NotFound } from '../refusal.ts'
import { lockServer } from '../server/find.ts'
import { type PostgresServer, requireCredentials } from '../server/server.ts'
import { checkPart } from './check-part.ts'
import { checkDatabases, RestoreAlreadyRunning, requireRestorable } from './refuse.ts'
import type { DatabaseMapping, Ownership, RestorePart, ServerRequest } from './restore.ts'

/** What a restore into a server is asked to do. */
export interface NewServerRequest {
  serverId: string
  /** Null: every database of the point under its own name. */
  databases: DatabaseMapping[] | null
  /** Null or left out: the databases whole. */
  part?: RestorePart | null
  ownership: Ownership
}

export interface RestoreToServer extends NewServerRequest {
  recoveryPointId: string
  actor: string
  now: Date
}

/**
 * Starts a job that restores databases of a point into a server: only into databases that do not exist or are
 * empty. They appear under their names when all of them are complete and their rows have been compared.
 */
export async function restoreToServer(database: Database, input: RestoreToServer): Promise<JobRow> {
  const { recoveryPointId, serverId, actor, now } = input
  return database.transaction(async (tx) => {
    const { point, instance } = await requireRestorable(tx, recoveryPointId)
    const { request, server } = await serverRequest(tx, point, input)
    try {
      const job = await enqueueJob(tx, {
        operation: 'RESTORE',
        trigger: 'USER',
        input: request,
        subject: {
          instanceId: instance.id,
          vaultId: point.vaultId,
          serverId,
          recoveryPointId,
          instanceName: instance.name,
        },
        exclusiveKey: `restore:server:${serverId}`,
        lanes: [`vault:${point.vaultId}`, `server:${serverId}`],
        maxAttempts: 3,
        actor,
        now,
      })
      await recordAudit(tx, {
        actor,
        action: 'restoreToServer',
        subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
        detail: { instance: instance.name, server: server.name, job: job.id },
        now,
      })
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new RestoreAlreadyRunning(cause.jobId)
      throw cause
    }
  })
}

/** The request as a job carries it, with its server, which stays until the transaction ends; refuses what cannot be meant. */
export async function serverRequest(
  tx: Database,
  point: RecoveryPoint,
  { serverId, part = null, ownership, databases: chosen }: NewServerRequest,
): Promise<{ request: ServerRequest; server: PostgresServer }> {
  const server = await lockServer(tx, serverId)
  if (!server) throw new NotFound('server')
  requireCredentials(server)
  const { leftOut, leftOutUnseen } = chosen || part ? { leftOut: [], leftOutUnseen: [] } : emptyDatabases(point)
  const databases = chosen ?? (part ? ownName(part) : everyDatabase(point, [...leftOut, ...leftOutUnseen]))
  if (part !== null) checkPart(point, part)
  checkMappings(point, databases)
  if (part !== null) checkOnly(databases, part)
  return { request: { kind: 'SERVER', serverId, ownership, databases, leftOut, leftOutUnseen, part }, server }
}

function checkMappings(point: RecoveryPoint, databases: readonly DatabaseMapping[]): void {
  checkDatabases(
    point,
    databases.map((each) => each.name),
  )
  for (const { targetName } of databases) {
    const bytes = Buffer.byteLength(targetName)
    if (bytes < 1 || bytes > 63 || targetName.includes('\0') || !targetName.isWellFormed()) {
      throw new InvalidInput('databases', `A target database name has 1 to 63 bytes; one of these has ${bytes}.`)
    }
    if (/^holdfast_(restoring|replaced)_/.test(targetName) && !isOwnName(databases, targetName)) {
      throw new InvalidInput(
        'databases',
        `"${targetName}" begins as what restores name databases for their own time.`,
        ['Choose another name.'],
      )
    }
    if (['postgres', 'template0', 'template1'].includes(targetName) && !isOwnName(databases, targetName)) {
      throw new InvalidInput('databases', `"${targetName}" belongs to the target server itself.`, [
        'Choose another name.',
      ])
    }
  }
  if (new Set(databases.map((each) => each.targetName)).size < databases.length) {
    throw new InvalidInput('databases', 'Two databases would get the same name on the target.')
  }
}

function ownName({ database }: RestorePart): DatabaseMapping[] {
  return [{ name: database, targetName: database }]
}

function checkOnly(databases: readonly DatabaseMapping[], { database }: RestorePart): void {
  if (databases.every(({ name }) => name === database)) return
  throw new InvalidInput('databases', `A part of "${database}" is restored: no other database comes with it.`, [
    `Map "${database}" alone to a name on the server, or leave the databases out.`,
  ])
}

function isOwnName(databases: readonly DatabaseMapping[], targetName: string): boolean {
  return databases.some((each) => each.name === targetName && each.targetName === targetName)
}

/**
 * Every server has a database "postgres" of its own: one that holds nothing is not worth replacing the target's, which whoever
 * watches a server is connected to. Where nobody looked, one without a table is taken for such a one, and told of.
 */
function emptyDatabases({ databases }: RecoveryPoint): { leftOut: string[]; leftOutUnseen: string[] } {
  const [own] = databases.length === 1 ? [] : databases.filter(({ name }) => name === 'postgres')
  const isUnseen = own?.isEmpty === undefined && own?.tableCount === 0
  return { leftOut: own?.isEmpty ? [own.name] : [], leftOutUnseen: isUnseen ? [own.name] : [] }
}

function everyDatabase({ databases }: RecoveryPoint, leftOut: readonly string[]): DatabaseMapping[] {
  return databases.filter(({ name }) => !leftOut.includes(name)).map(({ name }) => ({ name, targetName: name }))
}
