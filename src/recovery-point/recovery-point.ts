import { sql } from 'drizzle-orm'
import { recoveryPoints } from '../database/tables/recovery-point.ts'
import { Refusal } from '../refusal.ts'

/** One backup that can be returned to. */
export type RecoveryPoint = typeof recoveryPoints.$inferSelect

export type ProofLevel = RecoveryPoint['proof']

/** Each shows more than the one before it. */
export const proofLevels: readonly ProofLevel[] = ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED']

/** How far a verification goes: each level does what the one before it does, and more. */
export type VerifyLevel = Exclude<ProofLevel, 'WRITTEN'>

/** What a verification was asked to do. */
export interface VerifyRequest {
  level: VerifyLevel
}

/** The request a verification carries; one of version 0.2 and older decodes. Throws for any other job. */
export function verifyRequestOf({ operation, input }: { operation: string; input: unknown }): VerifyRequest {
  if (operation !== 'VERIFY') throw new Error(`A ${operation} job carries no request to verify.`)
  // Written by this room only, in the transaction that made the job.
  return { level: 'DECODED', ...(input as Partial<VerifyRequest>) }
}

/** One database inside a recovery point, as the catalogue remembers it. */
export type ContainedDatabase = RecoveryPoint['databases'][number]

/** Whether a point is on hold at a moment: it is then not removed, whatever its expiry. */
export function isOnHold({ heldAt, holdUntil }: Pick<RecoveryPoint, 'heldAt' | 'holdUntil'>, now: Date): boolean {
  return heldAt !== null && (holdUntil === null || holdUntil.getTime() > now.getTime())
}

/** The sha256, in hex, that the point's sealed manifest may have: two of them while a new key is wrapped around it. */
export function manifestDigestsOf({
  manifestSha256,
  nextManifestSha256,
}: Pick<RecoveryPoint, 'manifestSha256' | 'nextManifestSha256'>): string[] {
  return nextManifestSha256 === null ? [manifestSha256] : [manifestSha256, nextManifestSha256]
}

/**
 * What of a point's damage is of what it holds, as a restore into a scratch server has found it: every point that holds the
 * same has it, too. The rest names files of its folder.
 */
export function damageOfContents({
  prefix,
  damage,
  damageLevel,
}: Pick<RecoveryPoint, 'prefix' | 'damage' | 'damageLevel'>): string[] {
  return damageLevel === 'RESTORED' ? damage.filter((sentence) => !sentence.includes(prefix)) : []
}

/** What taking back a point's mark sets: it is what it was before. Only for points whose sweep has not begun. */
export const takenBack = {
  state: sql`case when ${recoveryPoints.damage} = '[]' then 'AVAILABLE' else 'SUSPECT' end::recovery_point_state`,
  markedAt: null,
  markReason: null,
}

/** The recovery point was chosen for removal: nothing is begun with it any more. */
export class RecoveryPointBeingRemoved extends Refusal {
  /** Its bytes are going already: nothing brings it back. */
  readonly isFinal: boolean

  constructor({ pointInTime, sweepStartedAt }: Pick<RecoveryPoint, 'pointInTime' | 'sweepStartedAt'>) {
    const isFinal = sweepStartedAt !== null
    super(
      `Recovery point of ${pointInTime.toISOString()} ${isFinal ? 'is being removed' : 'is about to be removed'}: its time is over.`,
      [
        ...(isFinal ? [] : ['Put it on hold with holdRecoveryPoint: that takes back its removal.']),
        'Use another recovery point.',
      ],
    )
    this.isFinal = isFinal
  }
}
