/** Why a recovery point that is not chosen for removal stays. */
export const reasonsToKeep = [
  'WITHIN_RETENTION',
  'NEWEST_RESTORABLE',
  'BEST_PROVEN',
  'NOTHING_RESTORABLE',
  'ON_HOLD',
  'BEING_READ',
  'PROTECTION_STOPPED',
  'SOFT_DELETED',
  'CONTENT_ANOMALY',
  'AWAITING_APPROVAL',
] as const
export type KeptBecause = (typeof reasonsToKeep)[number]

/** A recovery point that is not marked, as far as expiry looks at it. */
export interface ExpiryCandidate {
  id: string
  /** Where it lies. */
  vaultId: string
  expiresAt: Date
  /** On hold at the moment of the decision. */
  isHeld: boolean
  /** A restore, verification or copy of it is queued or running. */
  isBeingRead: boolean
}

/** The points that no expiry may take, of those that an instance has in one vault. */
export interface GuardedPoints {
  /** The newest AVAILABLE point; without one, the newest SUSPECT point. Null when there is neither. */
  newestRestorable: string | null
  /** The newest among the AVAILABLE points with the highest proof. Null when none is AVAILABLE: then all points stay. */
  bestProven: string | null
}

/** Where nothing can be restored from, as far as is known. */
export const unguarded: GuardedPoints = { newestRestorable: null, bestProven: null }

/** What a vault lets go at once of the points that an instance has there. */
export interface ShareLimit {
  /** All of them that are not marked, expired or not. */
  unmarkedCount: number
  /** The greatest share of them that may go at once without being asked for. */
  shareLimitPercent: number
}

/** What is known of the points that an instance has in one vault. */
export interface ExpiryPlace extends ShareLimit {
  guarded: GuardedPoints
}

/** What is known of an instance at the moment of the decision. */
export interface ExpiryFacts {
  now: Date
  /** Why nothing of the instance expires; null while points expire. */
  standstill: 'PROTECTION_STOPPED' | 'SOFT_DELETED' | null
  /** A point holds much less than those before it, and nobody has said yet that this is as it should be: nothing expires. */
  isAnomalous: boolean
  /** By vault id: a second copy elsewhere frees no point to go, nor the point the copy. */
  places: ReadonlyMap<string, ExpiryPlace>
  /** Points that expired up to then may go however many they are. */
  approvedThrough: Date | null
  /** Since when an answer is waited for: points that had expired by then stay until it is given. Null when none is. */
  blockedAt: Date | null
}

export interface ExpiryDecision {
  /** Ids of the points to mark, in the order given. */
  marked: string[]
  /** The others, each with every reason that it stays for. */
  kept: { id: string; because: KeptBecause[] }[]
  /** How many wait for approval, because too great a share would go at once; 0 when the run may do all it wants. */
  blockedCount: number
  /**
   * NEW: approval has to be asked for, of points that no question was about yet. OPEN: one that was asked is not answered,
   * and points that it was about are still there, waiting or kept for another reason. NONE: nothing is to be approved.
   */
  question: 'NEW' | 'OPEN' | 'NONE'
}

/**
 * Which points go and which stay, and why, at one moment: the whole decision of an expiry run. Where too great a share would
 * go in one vault, the question is about the points of all of them. Whatever else changes meanwhile, a point that waits for
 * approval is not taken without it.
 */
export function decideExpiry(candidates: readonly ExpiryCandidate[], facts: ExpiryFacts): ExpiryDecision {
  const { now, standstill, isAnomalous, places } = facts
  const guardedIn = (vaultId: string) => places.get(vaultId)?.guarded ?? unguarded
  const weighed = candidates.map((point) => ({
    id: point.id,
    vaultId: point.vaultId,
    because: whyItStays(point, { now, standstill, isAnomalous, guarded: guardedIn(point.vaultId) }),
    approval: approvalOf(point, facts),
  }))
  const free = weighed.filter(({ because }) => because.length === 0)
  const asking = Map.groupBy(
    free.filter(({ approval }) => approval === 'NOT_ASKED'),
    ({ vaultId }) => vaultId,
  )
  const isTooMuch = [...asking].some(([vaultId, points]) => isOverBudget(points.length, places.get(vaultId)))
  const blocked = new Set(
    free.filter(({ approval }) => approval === 'ASKED' || (approval === 'NOT_ASKED' && isTooMuch)).map(({ id }) => id),
  )
  const isOpen = weighed.some(({ approval }) => approval === 'ASKED')
  return {
    marked: free.flatMap(({ id }) => (blocked.has(id) ? [] : [id])),
    kept: weighed
      .map(({ id, because }) => ({ id, because: blocked.has(id) ? awaiting : because }))
      .filter(({ because }) => because.length > 0),
    blockedCount: blocked.size,
    question: isTooMuch ? 'NEW' : isOpen ? 'OPEN' : 'NONE',
  }
}

const awaiting: KeptBecause[] = ['AWAITING_APPROVAL']

/** Every reason, the budget apart, that a point stays for; none when an expiry run may take it. */
export function whyItStays(
  { id, expiresAt, isHeld, isBeingRead }: Omit<ExpiryCandidate, 'vaultId'>,
  {
    now,
    standstill,
    isAnomalous,
    guarded,
  }: Pick<ExpiryFacts, 'now' | 'standstill' | 'isAnomalous'> & { guarded: GuardedPoints },
): KeptBecause[] {
  const claims: Record<KeptBecause, boolean> = {
    WITHIN_RETENTION: expiresAt.getTime() > now.getTime(),
    NEWEST_RESTORABLE: id === guarded.newestRestorable,
    BEST_PROVEN: id === guarded.bestProven,
    // Where all are damaged, it may be the disk: a point that looks bad today may be read tomorrow.
    NOTHING_RESTORABLE: guarded.bestProven === null,
    ON_HOLD: isHeld,
    BEING_READ: isBeingRead,
    PROTECTION_STOPPED: standstill === 'PROTECTION_STOPPED',
    SOFT_DELETED: standstill === 'SOFT_DELETED',
    CONTENT_ANOMALY: isAnomalous,
    AWAITING_APPROVAL: false,
  }
  return reasonsToKeep.filter((reason) => claims[reason])
}

/** Whether so many points of one vault without approval are more than a run may take: more than one, and more than the share. */
export function isOverBudget(
  count: number,
  { unmarkedCount, shareLimitPercent }: ShareLimit = { unmarkedCount: 0, shareLimitPercent: 0 },
): boolean {
  return count > 1 && count * 100 > unmarkedCount * shareLimitPercent
}

/**
 * What is known of the approval of a point that is past its end: it had expired already when somebody approved what was
 * waiting then; or when the question was asked that nobody has answered; or it is of no question yet.
 */
export function approvalOf(
  { expiresAt }: Pick<ExpiryCandidate, 'expiresAt'>,
  { approvedThrough, blockedAt }: Pick<ExpiryFacts, 'approvedThrough' | 'blockedAt'>,
): 'GIVEN' | 'ASKED' | 'NOT_ASKED' {
  const isBy = (moment: Date | null) => moment !== null && expiresAt.getTime() <= moment.getTime()
  if (isBy(approvedThrough)) return 'GIVEN'
  return isBy(blockedAt) ? 'ASKED' : 'NOT_ASKED'
}

/** A recovery point as the guard looks at it. */
export interface GuardCandidate {
  id: string
  state: 'AVAILABLE' | 'SUSPECT' | 'REMOVING'
  proof: (typeof proofLevels)[number]
  createdAt: Date
}

const proofLevels = ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED'] as const

/** Which points no expiry may take, from all that an instance has in one vault. */
export function guardedAmong(points: readonly GuardCandidate[]): GuardedPoints {
  const available = points.filter(({ state }) => state === 'AVAILABLE')
  const suspect = points.filter(({ state }) => state === 'SUSPECT')
  const highest = Math.max(...available.map(({ proof }) => proofLevels.indexOf(proof)))
  return {
    newestRestorable: newestOf(available) ?? newestOf(suspect),
    bestProven: newestOf(available.filter(({ proof }) => proofLevels.indexOf(proof) === highest)),
  }
}

function newestOf(points: readonly GuardCandidate[]): string | null {
  const newest = points.reduce<GuardCandidate | null>(
    (best, each) => (best && !isNewer(each, best) ? best : each),
    null,
  )
  return newest?.id ?? null
}

function isNewer(one: GuardCandidate, other: GuardCandidate): boolean {
  const difference = one.createdAt.getTime() - other.createdAt.getTime()
  return difference > 0 || (difference === 0 && one.id > other.id)
}
