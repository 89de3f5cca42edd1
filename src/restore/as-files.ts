import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob, PendingJobExists } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import { InvalidInput } from '../refusal.ts'
import { checkPart } from './check-part.ts'
import { checkFilesTarget, normalTarget } from './files-target.ts'
import { checkDatabases, RestoreAlreadyRunning, requireRestorable } from './refuse.ts'
import type { ArchiveFormat, FilesRequest, FilesTarget, RestorePart } from './restore.ts'

/** What a restore as files is asked to do. */
export interface NewFilesRequest {
  /** A directory on the worker's machine, or a folder of a container; absent or empty. */
  target: FilesTarget
  /** CUSTOM when left out. */
  format?: ArchiveFormat
  /** Null: every database of the point, or that of the part. */
  databases: string[] | null
  /** Null or left out: the databases whole. */
  part?: RestorePart | null
}

export interface RestoreAsFiles extends NewFilesRequest {
  recoveryPointId: string
  actor: string
  now: Date
}

/**
 * Starts a job that writes a point's databases as archives that pg_restore reads, or as SQL that psql reads, with roles,
 * manifest and instructions, into a directory or container. It gets all of it or nothing. Throws ForbiddenByNetworkRules
 * when the account's rules do not let the vault write; the job asks them again.
 */
export async function restoreAsFiles(database: Database, input: RestoreAsFiles): Promise<JobRow> {
  const { recoveryPointId, actor, now } = input
  return database.transaction(async (tx) => {
    const { point, instance } = await requireRestorable(tx, recoveryPointId)
    const request = filesRequest(point, input)
    const { facts, key } = await checkFilesTarget(tx, point, request.target)
    try {
      const job = await enqueueJob(tx, {
        operation: 'RESTORE',
        trigger: 'USER',
        input: request,
        subject: { instanceId: instance.id, vaultId: point.vaultId, recoveryPointId, instanceName: instance.name },
        exclusiveKey: `restore:${key}`,
        lanes: [`vault:${point.vaultId}`],
        maxAttempts: 3,
        actor,
        now,
      })
      await recordAudit(tx, {
        actor,
        action: 'restoreAsFiles',
        subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
        detail: { instance: instance.name, ...facts, format: request.format, job: job.id },
        now,
      })
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new RestoreAlreadyRunning(cause.jobId)
      throw cause
    }
  })
}

/** The request as a job carries it; refuses what cannot be meant, but says nothing about the target's rules. */
export function filesRequest(
  point: RecoveryPoint,
  { target, format = 'CUSTOM', databases: chosen, part = null }: NewFilesRequest,
): FilesRequest {
  if (part !== null) {
    checkPart(point, part)
    if (format !== 'PLAIN') {
      throw new InvalidInput('part', 'An archive holds a database whole: a part of one is written as SQL alone.', [
        'Set format to PLAIN, or leave the part out.',
      ])
    }
  }
  const databases = chosen ?? (part ? [part.database] : point.databases.map((each) => each.name))
  if (chosen !== null) checkDatabases(point, databases)
  if (part !== null && (databases.length > 1 || databases[0] !== part.database)) {
    throw new InvalidInput('databases', `A part of "${part.database}" is restored: no other database comes with it.`, [
      'Leave databases out.',
    ])
  }
  return { kind: 'FILES', target: normalTarget(target), format, databases, part }
}
