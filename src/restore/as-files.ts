import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob, PendingJobExists } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import { checkDirectory } from '../vault/vault.ts'
import { checkDatabases, RestoreAlreadyRunning, requireRestorable } from './refuse.ts'
import type { RestoreRequest } from './restore.ts'

export interface RestoreAsFiles {
  recoveryPointId: string
  /** Absolute path on the worker's machine; must not exist yet or be empty. */
  directory: string
  /** Null: every database of the point. */
  databases: string[] | null
  actor: string
  now: Date
}

/**
 * Starts a job that writes a point's databases as archives that pg_restore reads, with roles, manifest and
 * instructions, into a directory. The directory gets all of it or nothing.
 */
export async function restoreAsFiles(database: Database, input: RestoreAsFiles): Promise<JobRow> {
  const { recoveryPointId, actor, now } = input
  const directory = checkDirectory('target.directory', input.directory)
  return database.transaction(async (tx) => {
    const { point, instance } = await requireRestorable(tx, recoveryPointId)
    const databases = input.databases ?? point.databases.map((each) => each.name)
    if (input.databases !== null) checkDatabases(point, databases)
    const target = { kind: 'DIRECTORY', path: directory } as const
    const request: RestoreRequest = { kind: 'FILES', target, format: 'CUSTOM', databases, part: null }
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
