import { and, eq, gt, isNotNull, isNull, or } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { cancelQueued, JobEnded, requestCancel } from '../job/cancel.ts'
import { findJobsOfInstances } from '../job/find.ts'
import { pendingStatuses } from '../job/states.ts'
import { recordNotification } from '../notification/record.ts'
import { findPlaces } from '../recovery-point/find.ts'
import { ConfirmationMismatch, checkComment, Refusal } from '../refusal.ts'
import { lockVaults } from '../vault/find.ts'
import { ForbiddenByImmutability, isImmutable, type Vault } from '../vault/vault.ts'
import { effectsOf } from './effects.ts'
import { takeBackMarks } from './expiry/take-back-marks.ts'
import type { BackupInstance } from './instance.ts'
import { enqueuePurge } from './purge/start-due-purges.ts'
import { nothingPlanned } from './schedule/plan-next.ts'
import { noApprovalAsked, type Stopped, type StopReason, whyStopped } from './stop-protection.ts'
import { lockFor, moveInstance } from './transition.ts'

/** Recovery points are on hold: their backup instance is not deleted. */
export class PointsOnHold extends Refusal {
  readonly count: number

  constructor(instance: BackupInstance, count: number) {
    const points = count === 1 ? '1 recovery point' : `${count} recovery points`
    super(`Backup instance "${instance.name}" has ${points} on hold, which nothing may remove.`, [
      'Ask whoever put them on hold; once the holds are released, delete it.',
      'To make no more backups and keep everything, stop protection and retain the data for ever.',
    ])
    this.count = count
  }
}

export interface DeleteBackupInstance {
  instanceId: string
  /** Must be the instance's name, to the letter. */
  confirmName: string
  reason: StopReason | null
  comment: string | null
  /** Answers what would happen, and changes nothing. */
  dryRun: boolean
  actor: string
  now: Date
}

/** Everything that may be queued for an instance but its purge. */
const work = ['BACKUP', 'RESTORE', 'CONFIGURE_PROTECTION', 'VERIFY', 'EXPIRE', 'VALIDATE_RESTORE', 'COPY'] as const

/** What of that writes recovery points: it is asked to stop where it runs. */
const writers = ['BACKUP', 'COPY'] as const

/**
 * Deletes a backup instance with its recovery points and their second copies: until `scheduledPurgeAt` it can be had back as
 * it is, then its bytes are purged; where its vaults have no soft delete, that begins with this. The rules of every vault that
 * it has points in hold. What is queued for it is cancelled, and a backup or copy that runs is asked to stop.
 */
export async function deleteBackupInstance(database: Database, input: DeleteBackupInstance): Promise<Stopped> {
  checkComment('comment', input.comment)
  const deleted = await carryOut(database, input, (tx) => markDeleted(tx, input))
  if (!input.dryRun) await stopWriters(database, input)
  return deleted
}

async function markDeleted(tx: Database, input: DeleteBackupInstance): Promise<Stopped> {
  const { instanceId, reason, comment, actor, now } = input
  const operation = 'DELETE_BACKUP_INSTANCE'
  const before = await lockFor(tx, instanceId, operation)
  if (input.confirmName !== before.name) throw new ConfirmationMismatch('backup instance', before.name)
  const vaults = await lockPlaces(tx, before)
  for (const vault of vaults) await refuseTooEarly(tx, { instance: before, vault, now })
  await refuseHeld(tx, { instance: before, now })
  const softDeleteDays = Math.max(...vaults.map((vault) => vault.softDeleteDays))
  const isPurged = softDeleteDays === 0
  const scheduledPurgeAt = new Date(now.getTime() + softDeleteDays * 86_400_000)
  const change = {
    ...nothingPlanned,
    ...noApprovalAsked,
    stopReason: reason,
    stopComment: comment,
    deletedAt: now,
    scheduledPurgeAt,
    expiryDueAt: null,
  }
  const instance = await moveInstance(tx, instanceId, { operation, change, now })
  await takeBackMarks(tx, instanceId)
  const cancelled = await cancelQueued(tx, { instanceId, operations: work, actor, now })
  const running = await pendingWriters(tx, instanceId)
  const purge = isPurged ? await enqueuePurge(tx, { instance, trigger: 'USER', actor, now }) : null
  const effects = await effectsOf(tx, { before, after: instance, now })
  await recordAudit(tx, {
    actor,
    action: 'deleteBackupInstance',
    subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
    reason: whyStopped({ reason, comment }),
    before: { state: before.state },
    after: { state: instance.state, scheduledPurgeAt: scheduledPurgeAt.toISOString() },
    detail: {
      vault: namesOf(vaults),
      recoveryPoints: effects.removed.ids.length,
      cancelledJobs: cancelled.length + running.length,
      purgeJob: purge?.id ?? null,
    },
    now,
  })
  await recordNotification(tx, {
    kind: 'PROTECTION_DELETED',
    severity: 'WARNING',
    message: `Backup instance "${instance.name}" was deleted by ${actor}: its recovery points (${effects.removed.ids.length}) are purged from ${vaults.length === 1 ? 'vault' : 'vaults'} "${namesOf(vaults)}" from ${scheduledPurgeAt.toISOString()} on.`,
    ...(!isPurged && { recommendedActions: ['If this was a mistake, undelete the backup instance before then.'] }),
    about: { instanceId: instance.id, vaultId: instance.vaultId, name: instance.name },
    now,
  })
  return {
    instance,
    effects,
    cancelledJobIds: [...cancelled.map(({ id }) => id), ...running],
    purge: input.dryRun ? null : purge,
  }
}

/** Each vault that the instance has points in, its own first, as it stays until the transaction ends. */
async function lockPlaces(tx: Database, { id, vaultId }: BackupInstance): Promise<Vault[]> {
  const places = (await findPlaces(tx, [id])).get(id) ?? []
  const vaults = await lockVaults(tx, [vaultId, ...places])
  return vaults.toSorted((one, other) => Number(other.id === vaultId) - Number(one.id === vaultId))
}

function namesOf(vaults: readonly Vault[]): string {
  return vaults.map(({ name }) => name).join('", "')
}

/** What runs is asked in a transaction of its own: its job's row is locked before the instance's, never after. */
async function stopWriters(database: Database, { instanceId, actor, now }: DeleteBackupInstance): Promise<void> {
  for (const jobId of await pendingWriters(database, instanceId)) {
    await requestCancel(database, { jobId, actor, now }).catch((cause) => {
      if (!(cause instanceof JobEnded)) throw cause
    })
  }
}

async function pendingWriters(database: Database, instanceId: string): Promise<string[]> {
  const filter = { operations: writers, statuses: pendingStatuses }
  const found = await findJobsOfInstances(database, [instanceId], { limit: 100, filter })
  return (found.get(instanceId) ?? []).map(({ id }) => id)
}

async function refuseTooEarly(
  tx: Database,
  { instance, vault, now }: { instance: BackupInstance; vault: Vault; now: Date },
): Promise<void> {
  if (!isImmutable(vault)) return
  const kept = await tx.$count(
    recoveryPoints,
    and(
      eq(recoveryPoints.instanceId, instance.id),
      eq(recoveryPoints.vaultId, vault.id),
      gt(recoveryPoints.expiresAt, now),
    ),
  )
  if (kept === 0) return
  const points = kept === 1 ? '1 recovery point' : `${kept} recovery points`
  const where = vault.id === instance.vaultId ? '' : ' there'
  const rule = `"${instance.name}" has ${points}${where} whose time is not over, and none may be removed before that.`
  throw new ForbiddenByImmutability(vault, 'deleteBackupInstance', rule)
}

async function refuseHeld(tx: Database, { instance, now }: { instance: BackupInstance; now: Date }): Promise<void> {
  const held = await tx.$count(
    recoveryPoints,
    and(
      eq(recoveryPoints.instanceId, instance.id),
      isNotNull(recoveryPoints.heldAt),
      or(isNull(recoveryPoints.holdUntil), gt(recoveryPoints.holdUntil, now)),
    ),
  )
  if (held > 0) throw new PointsOnHold(instance, held)
}
