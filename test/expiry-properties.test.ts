import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decideExpiry, guardedAmong, type KeptBecause } from '../src/retention/decide-expiry.ts'
import { decideRetention } from '../src/retention/decide-retention.ts'
import type { PeriodTag, RetentionRules } from '../src/retention/rules.ts'
import { rulesOf } from './kit/retention-rules.ts'

const day = 86_400_000
const start = Date.parse('2026-01-01T00:00:00.000Z')
const proofs = ['WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED'] as const

interface Point {
  id: string
  state: 'AVAILABLE' | 'SUSPECT' | 'REMOVING'
  proof: (typeof proofs)[number]
  createdAt: Date
  expiresAt: Date
  isHeld: boolean
  isBeingRead: boolean
}

/** An instance as a few plain values, with all that can happen to it. */
interface World {
  now: number
  standstill: 'PROTECTION_STOPPED' | 'SOFT_DELETED' | null
  rules: RetentionRules
  lastTagged: Partial<Record<PeriodTag, string>>
  points: Point[]
  shareLimitPercent: number
  blockedAt: Date | null
  approvedThrough: Date | null
  made: number
}

type Step = (world: World) => void
const expiry: Step = (world) => void expire(world)
const at = (world: World, position: number) => world.points[position % Math.max(1, world.points.length)]
const position = fc.nat(30)

const steps: fc.Arbitrary<Step> = fc.oneof(
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
    arbitrary: fc.constantFrom<World['standstill']>('PROTECTION_STOPPED', 'SOFT_DELETED', null, null).map(
      (standstill): Step =>
        (world) => {
          world.standstill = standstill
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
  {
    weight: 1,
    arbitrary: fc.constant<Step>((world) => {
      world.approvedThrough = world.blockedAt ?? world.approvedThrough
      world.blockedAt = null
    }),
  },
)

const worlds = fc.record({ rules: rulesOf, shareLimitPercent: fc.constantFrom(1, 20, 50, 100, 100, 100) }).map(
  ({ rules, shareLimitPercent }): World => ({
    now: start,
    standstill: null,
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
  world.points.push({ id, state: 'AVAILABLE', proof, createdAt, expiresAt, isHeld: false, isBeingRead: false })
}

function change(world: World, which: number, changes: Partial<Point>): void {
  const point = at(world, which)
  if (point) Object.assign(point, changes)
}

function decide(world: World) {
  const now = new Date(world.now)
  return decideExpiry(
    world.points.filter(({ expiresAt }) => expiresAt <= now),
    {
      now,
      standstill: world.standstill,
      guarded: guardedAmong(world.points),
      unmarkedCount: world.points.length,
      shareLimitPercent: world.shareLimitPercent,
      approvedThrough: world.approvedThrough,
    },
  )
}

/** What a run does: points that it marks are gone for whoever wants to restore. */
function expire(world: World): string[] {
  const decision = decide(world)
  const gone = new Set(decision.marked)
  world.blockedAt = decision.blockedCount > 0 ? (world.blockedAt ?? new Date(world.now)) : null
  world.points = world.points.filter(({ id }) => !gone.has(id))
  return decision.marked
}

const restorable = ({ points }: World) => points.filter(({ state }) => state === 'AVAILABLE')
const bestProof = (world: World) => Math.max(-1, ...restorable(world).map(({ proof }) => proofs.indexOf(proof)))
const newest = (world: World) => Math.max(-1, ...restorable(world).map(({ createdAt }) => createdAt.getTime()))

/** An instance after a history, some time later, with some of its points held, read or damaged. */
const histories = fc
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

describe('expiry, whatever has happened to an instance', () => {
  test('leaves something to restore, as new and as well proven as before', () => {
    fc.assert(
      fc.property(worlds, fc.array(steps, { maxLength: 60 }), fc.nat(2_000), (first, taken, laterDays) => {
        const world = structuredClone(first)
        const later: Step = (own) => {
          own.now += laterDays * day
        }
        for (const step of [...taken, expiry, later, expiry]) {
          const before = { count: restorable(world).length, proof: bestProof(world), newest: newest(world) }
          const hadAny = world.points.length > 0
          step(world)
          if (step !== expiry) continue
          expect(restorable(world).length > 0).toBe(before.count > 0)
          expect(bestProof(world)).toBe(before.proof)
          expect(newest(world)).toBe(before.newest)
          expect(world.points.length > 0).toBe(hadAny)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('takes nothing that is within its time, held, read or retained, and no greater share than allowed', () => {
    fc.assert(
      fc.property(histories, (world) => {
        const before = new Map(world.points.map((point) => [point.id, point]))
        const decision = decide(world)
        const marked = decision.marked.flatMap((id) => before.get(id) ?? [])
        expect(marked).toHaveLength(decision.marked.length)
        for (const point of marked) {
          expect(point.expiresAt.getTime()).toBeLessThanOrEqual(world.now)
          expect(point.isHeld || point.isBeingRead || world.standstill !== null).toBe(false)
        }
        const asking = marked.filter(({ expiresAt }) => !(world.approvedThrough && expiresAt <= world.approvedThrough))
        if (asking.length > 1) {
          expect(asking.length / world.points.length).toBeLessThanOrEqual(world.shareLimitPercent / 100)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('says why for each point that stays, and takes every other', () => {
    fc.assert(
      fc.property(histories, (world) => {
        const { marked, kept, blockedCount } = decide(world)
        const due = world.points.filter(({ expiresAt }) => expiresAt.getTime() <= world.now).map(({ id }) => id)
        expect([...marked, ...kept.map(({ id }) => id)].toSorted()).toEqual(due.toSorted())
        for (const { because } of kept) expect(because.length).toBeGreaterThan(0)
        const waiting = kept.filter(({ because }) => because.includes('AWAITING_APPROVAL' satisfies KeptBecause))
        expect(waiting).toHaveLength(blockedCount)
      }),
      { numRuns: 300 },
    )
  })

  test('changes nothing when it is run a second time', () => {
    fc.assert(
      fc.property(histories, (world) => {
        expire(world)
        const blocked = decide(world).blockedCount
        expect(expire(world)).toEqual([])
        expect(decide(world).blockedCount).toBe(blocked)
      }),
      { numRuns: 300 },
    )
  })
})
