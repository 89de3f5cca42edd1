import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob, PendingJobExists } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import { checkDirectory } from '../vault/vault.ts'
import { checkDatabases, RestoreAlreadyRunning, requireRestorable } from './refuse.ts'
import type { FilesRequest } from './restore.ts'

/** What a restore as files is asked to do. */
export interface NewFilesRequest {
  /** Absolute path on the worker's machine; must not exist yet or be empty. */
  directory: string
  /** Null: every database of the point. */
  databases: string[] | null
}

export interface RestoreAsFiles extends NewFilesRequest {
  recoveryPointId: string
  actor: string
  now: Date
}

/**
 * Starts a job that writes a point's databases as archives that pg_restore reads, with roles, manifest and
 * instructions, into a directory. The directory gets all of it or nothing.
 */
export async function restoreAsFiles(database: Database, input: RestoreAsFiles): Promise<JobRow> {
  const { recoveryPointId, actor, now } = input
  return database.transaction(async (tx) => {
    const { point, instance } = await requireRestorable(tx, recoveryPointId)
    const request = await filesRequest(tx, point, input)
    const directory = request.target.path
    try {
      const job = await enqueueJob(tx, {
        operation: 'RESTORE',
        trigger: 'USER',
        input: request,
        subject: { instanceId: instance.id, vaultId: point.vaultId, recoveryPointId, instanceName: instance.name },
        exclusiveKey: `restore:directory:${directory}`,
        lanes: [`vault:${point.vaultId}`],
        maxAttempts: 3,
        actor,
        now,
      })
      await recordAudit(tx, {
        actor,
        action: 'restoreAsFiles',
        subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
        detail: { instance: instance.name, directory, job: job.id },
        now,
      })
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new RestoreAlreadyRunning(cause.jobId)
      throw cause
    }
  })
}

/** The request as a job carries it; refuses what cannot be meant. */
export async function filesRequest(
  _tx: Database,
  point: RecoveryPoint,
  input: NewFilesRequest,
): Promise<FilesRequest & { target: { kind: 'DIRECTORY' } }> {
  const path = checkDirectory('target.directory', input.directory)
  const databases = input.databases ?? point.databases.map((each) => each.name)
  if (input.databases !== null) checkDatabases(point, databases)
  return { kind: 'FILES', target: { kind: 'DIRECTORY', path }, format: 'CUSTOM', databases, part: null }
}
