import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { enqueueJob } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import { lockForReading } from '../recovery-point/find.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import { NotFound } from '../refusal.ts'
import { lockContainer } from '../storage-account/find.ts'
import { filesRequest, type NewFilesRequest } from './as-files.ts'
import type { RestoreRequest } from './restore.ts'
import { type NewServerRequest, serverRequest } from './to-server.ts'

/** What a restore would be asked to do. */
export type RestoreToValidate = ({ kind: 'FILES' } & NewFilesRequest) | ({ kind: 'SERVER' } & NewServerRequest)

export interface ValidateRestore {
  recoveryPointId: string
  target: RestoreToValidate
  actor: string
  now: Date
}

/**
 * Starts a job that looks for everything that would make a restore fail, and leaves nothing behind. Refuses what the
 * restore would refuse at once, but for a suspect point, which the report tells of beside all else.
 */
export async function validateRestore(database: Database, input: ValidateRestore): Promise<JobRow> {
  const { recoveryPointId, target, actor, now } = input
  return database.transaction(async (tx) => {
    const { point, instance } = await lockForReading(tx, recoveryPointId, 'RESTORE')
    const request = await requestOf(tx, point, target)
    const server = request.kind === 'SERVER' ? { serverId: request.serverId } : {}
    const job = await enqueueJob(tx, {
      operation: 'VALIDATE_RESTORE',
      trigger: 'USER',
      input: request,
      subject: {
        instanceId: instance.id,
        vaultId: point.vaultId,
        recoveryPointId,
        instanceName: instance.name,
        ...server,
      },
      lanes: [`vault:${point.vaultId}`, ...Object.values(server).map((id) => `server:${id}`)],
      maxAttempts: 3,
      actor,
      now,
    })
    await recordAudit(tx, {
      actor,
      action: 'validateRestore',
      subject: { kind: 'RecoveryPoint', id: point.id, name: point.pointInTime.toISOString() },
      detail: { instance: instance.name, target: request.kind, job: job.id },
      now,
    })
    return job
  })
}

/** What the target's rules say is for the report; that there is no such target is told at once. */
async function requestOf(tx: Database, point: RecoveryPoint, given: RestoreToValidate): Promise<RestoreRequest> {
  if (given.kind === 'SERVER') return (await serverRequest(tx, point, given)).request
  const request = filesRequest(point, given)
  const { target } = request
  if (target.kind === 'CONTAINER' && !(await lockContainer(tx, target.containerId))) {
    throw new NotFound('storage container')
  }
  return request
}
