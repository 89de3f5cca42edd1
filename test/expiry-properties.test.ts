import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { KeptBecause } from '../src/retention/decide-expiry.ts'
import {
  approve,
  change,
  crowds,
  day,
  decide,
  events,
  expire,
  expiry,
  histories,
  places,
  pointsIn,
  position,
  restorable,
  type Step,
  standing,
  steps,
  waiting,
  worlds,
} from './kit/expiry-world.ts'

describe('expiry, whatever has happened to an instance', () => {
  test('leaves something to restore in each vault, as new and as well proven as before', () => {
    fc.assert(
      fc.property(worlds, fc.array(steps, { maxLength: 60 }), fc.nat(2_000), (first, taken, laterDays) => {
        const world = structuredClone(first)
        const later: Step = (own) => {
          own.now += laterDays * day
        }
        for (const step of [...taken, expiry, later, expiry]) {
          const before = standing(world)
          step(world)
          if (step === expiry) expect(standing(world)).toEqual(before)
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
        for (const place of places) {
          if (restorable(world, place).length === 0) expect(marked.map(({ vaultId }) => vaultId)).not.toContain(place)
        }
        const asked = waiting(world)
        for (const point of marked) {
          expect(asked).not.toContain(point)
          expect(point.expiresAt.getTime()).toBeLessThanOrEqual(world.now)
          expect(point.isHeld || point.isBeingRead || world.standstill !== null || world.isAnomalous).toBe(false)
        }
        const asking = marked.filter(({ expiresAt }) => !(world.approvedThrough && expiresAt <= world.approvedThrough))
        for (const place of places) {
          const going = asking.filter(({ vaultId }) => vaultId === place).length
          if (going < 2) continue
          expect(going / pointsIn(world, place).length).toBeLessThanOrEqual(world.shareLimitPercent / 100)
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
        const isWaiting = kept.filter(({ because }) => because.includes('AWAITING_APPROVAL' satisfies KeptBecause))
        expect(isWaiting).toHaveLength(blockedCount)
      }),
      { numRuns: 300 },
    )
  })

  test('takes nothing that it has asked for before somebody approves, whatever happens meanwhile', () => {
    let asked = 0
    fc.assert(
      fc.property(crowds, fc.array(fc.oneof(...events), { maxLength: 30 }), (world, taken) => {
        expire(world)
        const mustStay = waiting(world).map(({ id }) => id)
        if (mustStay.length > 0) asked++
        for (const step of [...taken, expiry]) {
          step(world)
          expect(world.points.map(({ id }) => id)).toEqual(expect.arrayContaining(mustStay))
          if (mustStay.length > 0) expect(waiting(world).length).toBeGreaterThanOrEqual(mustStay.length)
        }
      }),
      { numRuns: 500 },
    )
    expect(asked).toBeGreaterThan(50)
  })

  test('takes by an approval no more than was listed then, and asks again for what was kept from it', () => {
    const keepings = fc.array(fc.tuple(position, fc.constantFrom({ isHeld: true }, { isBeingRead: true })), {
      maxLength: 3,
    })
    fc.assert(
      fc.property(crowds, keepings, (world, kept) => {
        expire(world)
        const asked = waiting(world)
        approve(world)
        const listed = decide(world).marked
        for (const [which, changes] of kept) change(world, which, changes)
        const taken = expire(world)
        expect(listed).toEqual(expect.arrayContaining(taken))
        for (const point of world.points) Object.assign(point, { isHeld: false, isBeingRead: false })
        const left = asked.filter(({ id }) => listed.includes(id) && !taken.includes(id))
        const isTooMuch = places.some((place) => {
          const count = left.filter(({ vaultId }) => vaultId === place).length
          return count > 1 && count * 100 > pointsIn(world, place).length * world.shareLimitPercent
        })
        if (isTooMuch) expect(expire(world)).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test('takes nothing while a content anomaly waits to be acknowledged, and all that it would have taken then', () => {
    let heldBack = 0
    fc.assert(
      fc.property(histories, fc.array(fc.oneof(...events), { maxLength: 30 }), (world, taken) => {
        const free = decide({ ...world, isAnomalous: false }).marked
        const held = decide({ ...world, isAnomalous: true })
        if (free.length > 0) heldBack++
        expect(held).toMatchObject({ marked: [], blockedCount: 0 })
        for (const { because } of held.kept) expect(because).toContain('CONTENT_ANOMALY' satisfies KeptBecause)
        expect(decide({ ...world, isAnomalous: false }).marked).toEqual(free)
        world.isAnomalous = true
        for (const step of taken) {
          const before = world.points.map(({ id }) => id)
          step(world)
          expect(world.points.map(({ id }) => id)).toEqual(expect.arrayContaining(before))
        }
      }),
      { numRuns: 300 },
    )
    expect(heldBack).toBeGreaterThan(20)
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
