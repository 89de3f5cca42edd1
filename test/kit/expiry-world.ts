import fc from 'fast-check'
import { decideExpiry, guardedAmong } from '../../src/retention/decide-expiry.ts'
import { decideRetention } from '../../src/retention/decide-retention.ts'
import type { PeriodTag, RetentionRules } from '../../src/retention/rules.ts'
import { rulesOf } from './retention-rules.ts'

export const day = 86_400_000

/** When every history begins. */
const start = Date.parse('2026-01-01T00:00:00.000Z')
const proofs = ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED'] as const

/** Where points lie: the instance's own vault, and the one that gets second copies. */
export const places = ['main', 'replica'] as const
type Place = (typeof places)[number]

interface Point {
  id: string
  vaultId: Place
  state: 'AVAILABLE' | 'SUSPECT' | 'REMOVING'
  proof: (typeof proofs)[number]
  createdAt: Date
  expiresAt: Date
  isHeld: boolean
  isBeingRead: boolean
}

/** An instance as a few plain values, with all that can happen to it. */
export interface World {
  now: number
  standstill: 'PROTECTION_STOPPED' | 'SOFT_DELETED' | null
  /** Whether a content anomaly waits to be acknowledged. */
  isAnomalous: boolean
  rules: RetentionRules
  lastTagged: Partial<Record<PeriodTag, string>>
  points: Point[]
  shareLimitPercent: number
  blockedAt: Date | null
  approvedThrough: Date | null
  made: number
}

/** Something that happens to an instance. */
export type Step = (world: World) => void
/** An expiry run. */
export const expiry: Step = (world) => void expire(world)
const at = (world: World, position: number) => world.points[position % Math.max(1, world.points.length)]
/** Which of the points something happens to. */
export const position = fc.nat(30)

/** What happens by itself, or is done for other reasons than expiry: nobody answers a question by it. */
export const events: fc.WeightedArbitrary<Step>[] = [
  {
    weight: 6,
    arbitrary: fc.constantFrom(...proofs).map(
      (proof): Step =>
        (world) =>
          backUp(world, proof),
    ),
  },
  { weight: 5, arbitrary: fc.constant(expiry) },
  {
    weight: 4,
    arbitrary: fc.integer({ min: 1, max: 500 }).map(
      (hours): Step =>
        (world) => {
          world.now += hours * 3_600_000
        },
    ),
  },
  {
    weight: 2,
    arbitrary: position.map(
      (which): Step =>
        (world) =>
          change(world, which, { state: 'SUSPECT' }),
    ),
  },
  {
    weight: 1,
    arbitrary: position.map(
      (which): Step =>
        (world) =>
          change(world, which, { state: 'AVAILABLE' }),
    ),
  },
  {
    weight: 1,
    arbitrary: position.map(
      (which): Step =>
        (world) =>
          change(world, which, { proof: 'RESTORED' }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(position, fc.constantFrom(null, 1, 10, 400)).map(
      ([which, keptDays]): Step =>
        (world) =>
          copy(world, which, keptDays),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(position, fc.boolean()).map(
      ([which, isHeld]): Step =>
        (world) => {
          change(world, which, { isHeld })
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(position, fc.boolean()).map(
      ([which, isBeingRead]): Step =>
        (world) => {
          change(world, which, { isBeingRead })
        },
    ),
  },
  {
    weight: 1,
    arbitrary: rulesOf.map(
      (rules): Step =>
        (world) => {
          world.rules = rules
        },
    ),
  },
]

/** All that can happen. */
export const steps: fc.Arbitrary<Step> = fc.oneof(
  ...events,
  {
    weight: 1,
    arbitrary: fc.constantFrom<World['standstill']>('PROTECTION_STOPPED', 'SOFT_DELETED', null, null).map(
      (standstill): Step =>
        (world) => {
          world.standstill = standstill
          if (standstill) world.blockedAt = world.approvedThrough = null
        },
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>(approve) },
  {
    weight: 1,
    arbitrary: fc.boolean().map(
      (isAnomalous): Step =>
        (world) => {
          world.isAnomalous = isAnomalous
        },
    ),
  },
)

/** Instances that nothing has happened to. */
export const worlds = fc.record({ rules: rulesOf, shareLimitPercent: fc.constantFrom(1, 20, 50, 100, 100, 100) }).map(
  ({ rules, shareLimitPercent }): World => ({
    now: start,
    standstill: null,
    isAnomalous: false,
    rules,
    lastTagged: {},
    points: [],
    shareLimitPercent,
    blockedAt: null,
    approvedThrough: null,
    made: 0,
  }),
)

function backUp(world: World, proof: Point['proof']): void {
  if (world.standstill) return
  const createdAt = new Date(world.now)
  const { tag, expiresAt } = decideRetention(world.rules, {
    createdAt,
    lastTagged: world.lastTagged,
    requested: 'SCHEDULE',
  })
  if (tag !== 'DEFAULT') world.lastTagged[tag] = createdAt.toISOString()
  const id = String(world.made++).padStart(6, '0')
  world.points.push({
    id,
    vaultId: 'main',
    state: 'AVAILABLE',
    proof,
    createdAt,
    expiresAt,
    isHeld: false,
    isBeingRead: false,
  })
}

/** Makes a second copy of one of the originals, which is kept for so long, or as long as that one. */
function copy(world: World, which: number, keptDays: number | null): void {
  const originals = world.points.filter(({ vaultId, state }) => vaultId === 'main' && state === 'AVAILABLE')
  const original = originals[which % Math.max(1, originals.length)]
  const id = `${original?.id}-copy`
  if (!original || world.points.some((point) => point.id === id)) return
  const expiresAt = keptDays === null ? original.expiresAt : new Date(original.createdAt.getTime() + keptDays * day)
  const free = { isHeld: false, isBeingRead: false }
  world.points.push({ ...original, ...free, id, vaultId: 'replica', proof: 'READ_BACK', expiresAt })
}

/** Changes one of the points, if there are any. */
export function change(world: World, which: number, changes: Partial<Point>): void {
  const point = at(world, which)
  if (point) Object.assign(point, changes)
}

/** What an expiry run would decide now. */
export function decide(world: World) {
  const now = new Date(world.now)
  return decideExpiry(
    world.points.filter(({ expiresAt }) => expiresAt <= now),
    {
      now,
      standstill: world.standstill,
      isAnomalous: world.isAnomalous,
      places: new Map(
        places.map((place) => {
          const there = pointsIn(world, place)
          const { shareLimitPercent } = world
          return [place, { guarded: guardedAmong(there), unmarkedCount: there.length, shareLimitPercent }]
        }),
      ),
      approvedThrough: world.approvedThrough,
      blockedAt: world.blockedAt,
    },
  )
}

/** Answers the question that is open, if there is one. */
export function approve(world: World): void {
  world.approvedThrough = world.blockedAt ?? world.approvedThrough
  world.blockedAt = null
}

/** The points that an approval would be about now. */
export function waiting({ points, blockedAt, approvedThrough }: World): Point[] {
  const isBy = (moment: Date | null, { expiresAt }: Point) => moment !== null && expiresAt <= moment
  return points.filter((point) => isBy(blockedAt, point) && !isBy(approvedThrough, point))
}

/** What a run does: points that it marks are gone for whoever wants to restore. */
export function expire(world: World): string[] {
  const decision = decide(world)
  const gone = new Set(decision.marked)
  if (decision.question === 'NEW') world.blockedAt = new Date(world.now)
  if (decision.question === 'NONE') world.blockedAt = null
  world.points = world.points.filter(({ id }) => !gone.has(id))
  // All that was approved and is free has gone: the approval is over.
  world.approvedThrough = null
  return decision.marked
}

/** The points that lie in one vault. */
export const pointsIn = ({ points }: World, place: Place) => points.filter(({ vaultId }) => vaultId === place)
/** Those of them that can be restored from. */
export const restorable = (world: World, place: Place) =>
  pointsIn(world, place).filter(({ state }) => state === 'AVAILABLE')
/** The highest proof among those; -1 without any. */
const bestProof = (world: World, place: Place) =>
  Math.max(-1, ...restorable(world, place).map(({ proof }) => proofs.indexOf(proof)))
/** When the newest of those was made; -1 without any. */
const newest = (world: World, place: Place) =>
  Math.max(-1, ...restorable(world, place).map(({ createdAt }) => createdAt.getTime()))
/** How good what a vault holds of the instance is: whether anything can be restored, how new, how well proven. */
export const standing = (world: World) =>
  places.map((place) => ({
    hasAny: pointsIn(world, place).length > 0,
    isRestorable: restorable(world, place).length > 0,
    proof: bestProof(world, place),
    newest: newest(world, place),
  }))

/** An instance after a history, some time later, with some of its points held, read or damaged. */
export const histories = fc
  .record({
    first: worlds,
    taken: fc.array(steps, { maxLength: 60 }),
    laterDays: fc.nat(1_000),
    marks: fc.array(
      fc.constantFrom<Partial<Point>>({}, {}, {}, { isHeld: true }, { isBeingRead: true }, { state: 'SUSPECT' }),
      { minLength: 1, maxLength: 8 },
    ),
  })
  .map(({ first, taken, laterDays, marks }) => {
    const world = structuredClone(first)
    for (const step of taken) step(world)
    world.now += laterDays * day
    world.points.forEach((point, index) => {
      Object.assign(point, marks[index % marks.length])
    })
    return world
  })

/** As above, with so many more points past their end at once that many an expiry asks. */
export const crowds = fc
  .tuple(histories, fc.integer({ min: 4, max: 15 }), fc.constantFrom(1, 20, 50), fc.integer({ min: 0, max: 4_000 }))
  .map(([world, count, shareLimitPercent, laterDays]) => {
    world.standstill = null
    world.shareLimitPercent = shareLimitPercent
    for (let made = 0; made < count; made++) {
      world.now += day
      backUp(world, 'READ_BACK')
    }
    world.now += laterDays * day
    return world
  })
