import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import type { PointSet } from '../src/instance/effects.ts'
import type { ProtectionState } from '../src/instance/instance.ts'
import type { JobRow } from '../src/job/states.ts'
import { addPoints, asked, daysFromNow, dumpOf, now, type PointSeed } from './kit/lifecycle.ts'
import { type Life, live, rehearsed } from './kit/perform.ts'
import { enqueue } from './kit/runner.ts'
import { test } from './kit/test.ts'

const seeds: Record<string, PointSeed> = {
  sweeping: { madeDaysAgo: 70, endsInDays: -40, state: 'REMOVING', markedAt: now, sweepStartedAt: now },
  marked: { madeDaysAgo: 60, endsInDays: -30, state: 'REMOVING', markedAt: now, markReason: 'Its time is over.' },
  expired: { madeDaysAgo: 50, endsInDays: -20 },
  'expired too': { madeDaysAgo: 43, endsInDays: -13 },
  held: { madeDaysAgo: 42, endsInDays: -12, heldAt: now, heldBy: 'tester' },
  'best proven': { madeDaysAgo: 10, endsInDays: 20, proof: 'DECODED' },
  newest: { madeDaysAgo: 3, endsInDays: 27 },
  suspect: { madeDaysAgo: 1, endsInDays: 29, state: 'SUSPECT', damage: ['0001.dump.age is cut short.'] },
}
const names = Object.keys(seeds)
const kept = ['expired', 'expired too', 'held', 'best proven', 'newest', 'suspect']

interface Story {
  operation: keyof typeof rehearsed
  /** In percent, what may expire at once; 50 unless given. */
  shareLimit?: number
  from: ProtectionState
  removed?: string[]
  keptForever?: string[]
  startsExpiring?: string[]
  awaitingApproval?: string[]
  /** The job that the operation starts. */
  job?: 'EXPIRE' | null
  removedAt?: Date | null
  cancelled?: string[]
}

const going = ['sweeping', 'marked', 'expired', 'expired too']
const stories: Story[] = [
  { operation: 'RETRY_CONFIGURE_PROTECTION', from: 'CONFIGURING_PROTECTION_FAILED' },
  { operation: 'CHANGE_POLICY', from: 'PROTECTION_CONFIGURED' },
  { operation: 'CHANGE_POLICY', from: 'PROTECTION_STOPPED' },
  {
    operation: 'STOP_PROTECTION_RETAIN_FOREVER',
    from: 'PROTECTION_CONFIGURED',
    removed: ['sweeping'],
    removedAt: now,
    keptForever: ['marked', ...kept],
    cancelled: ['backup'],
  },
  {
    operation: 'STOP_PROTECTION_RETAIN_FOREVER',
    from: 'BACKUP_SCHEDULES_SUSPENDED',
    removed: ['sweeping'],
    removedAt: now,
    keptForever: ['marked', ...kept],
    cancelled: ['backup'],
  },
  {
    operation: 'STOP_PROTECTION_RETAIN_AS_PER_POLICY',
    from: 'PROTECTION_CONFIGURED',
    removed: going,
    removedAt: now,
    keptForever: ['best proven', 'newest'],
    cancelled: ['backup'],
  },
  {
    operation: 'STOP_PROTECTION_RETAIN_AS_PER_POLICY',
    from: 'PROTECTION_STOPPED',
    removed: ['sweeping', 'expired', 'expired too'],
    removedAt: now,
    keptForever: ['best proven', 'newest'],
    startsExpiring: ['held', 'suspect'],
    cancelled: ['backup'],
  },
  {
    operation: 'RESUME_PROTECTION',
    from: 'PROTECTION_STOPPED',
    removed: ['sweeping', 'expired', 'expired too'],
    removedAt: now,
    startsExpiring: ['held', 'best proven', 'newest', 'suspect'],
    job: 'EXPIRE',
  },
  {
    operation: 'RESUME_PROTECTION',
    from: 'PROTECTION_STOPPED',
    shareLimit: 20,
    removed: ['sweeping'],
    removedAt: now,
    startsExpiring: ['held', 'best proven', 'newest', 'suspect'],
    awaitingApproval: ['expired', 'expired too'],
    job: null,
  },
  {
    operation: 'STOP_PROTECTION_RETAIN_AS_PER_POLICY',
    from: 'PROTECTION_STOPPED',
    shareLimit: 20,
    removed: ['sweeping'],
    removedAt: now,
    keptForever: ['best proven', 'newest'],
    startsExpiring: ['held', 'suspect'],
    awaitingApproval: ['expired', 'expired too'],
    cancelled: ['backup'],
  },
  {
    operation: 'RESUME_PROTECTION',
    from: 'BACKUP_SCHEDULES_SUSPENDED',
    removed: going,
    removedAt: now,
    startsExpiring: ['best proven', 'newest'],
    job: 'EXPIRE',
  },
  {
    operation: 'DELETE_BACKUP_INSTANCE',
    from: 'PROTECTION_CONFIGURED',
    removed: names.filter((name) => name !== 'held'),
    removedAt: daysFromNow(14),
    cancelled: ['backup', 'verification'],
  },
  {
    operation: 'DELETE_BACKUP_INSTANCE',
    from: 'PROTECTION_STOPPED',
    removed: names.filter((name) => name !== 'held' && name !== 'marked'),
    removedAt: daysFromNow(14),
    cancelled: ['backup', 'verification'],
  },
  {
    operation: 'APPROVE_EXPIRY',
    from: 'PROTECTION_CONFIGURED',
    removed: ['expired', 'expired too'],
    removedAt: now,
    job: 'EXPIRE',
  },
  {
    operation: 'UNDELETE_BACKUP_INSTANCE',
    from: 'SOFT_DELETED',
    removed: ['sweeping'],
    removedAt: now,
    keptForever: kept,
  },
]

test.for(stories)('$operation from $from says in a dry run what it does', async (story, { database }) => {
  const { life, nameOf } = await lifeOf(database, story)
  const before = await dumpOf(database)
  const perform = rehearsed[story.operation]
  const dry = await perform(life, { ...asked, dryRun: true })
  expect(await dumpOf(database)).toEqual(before)
  const real = await perform(life, asked)
  expect(dry.effects).toEqual(real.effects)
  expect(dry.instance).toEqual(real.instance)
  expect(dry.cancelledJobIds).toEqual(real.cancelledJobIds)
  const { removed, removedAt, keptForever, startsExpiring, awaitingApproval } = real.effects
  const named = ({ ids }: PointSet) => ids.map(nameOf)
  expect({
    removed: named(removed),
    removedAt,
    keptForever: named(keptForever),
    startsExpiring: named(startsExpiring),
    awaitingApproval: named(awaitingApproval),
  }).toEqual({ ...nothing, ...effectsOf(story) })
  if (story.job !== undefined) {
    expect(dry.job).toBeNull()
    expect(real.job?.operation ?? null).toBe(story.job)
  }
  expect(real.cancelledJobIds?.map(nameOf) ?? []).toEqual(story.cancelled ?? [])
  expect(removed.storedBytes).toBe((story.removed ?? []).reduce((sum, name) => sum + bytesOf(name), 0))
})

test('the newest point that is past its end is kept for ever without new backups, and until there are any with them', async ({
  database,
}) => {
  const life = await live(database, { state: 'PROTECTION_STOPPED', points: [{ madeDaysAgo: 50, endsInDays: -20 }] })
  const resumed = await rehearsed.RESUME_PROTECTION(life, asked)
  expect(resumed).toMatchObject({
    effects: { removed: { ids: [] }, keptForever: { ids: [] }, startsExpiring: { ids: [] } },
    job: null,
  })
  const suspended = await rehearsed.STOP_PROTECTION_RETAIN_AS_PER_POLICY(life, asked)
  expect(suspended.effects).toMatchObject({
    keptForever: { ids: [life.newestPointId] },
    startsExpiring: { ids: [] },
  })
})

const nothing = { removed: [], removedAt: null, keptForever: [], startsExpiring: [], awaitingApproval: [] }

function effectsOf({ operation: _o, from: _f, cancelled: _c, shareLimit: _s, job: _j, ...effects }: Story) {
  return effects
}

function bytesOf(name: string): number {
  return 2 ** names.indexOf(name)
}

/** An instance with the points that may be there in that state, a queued scheduled backup and a queued verification. */
async function lifeOf(
  database: Database,
  { operation, from, shareLimit }: Story,
): Promise<{ life: Life; nameOf: (id: string) => string }> {
  const isAsking = operation === 'APPROVE_EXPIRY'
  const blocked = { expiryBlockedAt: now, expiryBlockedCount: 2 }
  const limit = shareLimit !== undefined && { vault: { expiryShareLimitPercent: shareLimit } }
  const life = await live(database, { state: from, points: [], ...limit, ...(isAsking && { instance: blocked }) })
  const isStill = from === 'PROTECTION_STOPPED' || from === 'SOFT_DELETED'
  const chosen = names.filter(
    (name) => !(name === 'marked' && isStill) && !(name === 'held' && operation === 'DELETE_BACKUP_INSTANCE'),
  )
  const points = await addPoints(
    database,
    life.instance,
    chosen.flatMap((name) => (seeds[name] ? [{ ...seeds[name], storedBytes: bytesOf(name) }] : [])),
  )
  const known = new Map(points.map(({ id }, index) => [id, chosen[index] ?? '']))
  const subject = { instanceId: life.instance.id, instanceName: life.instance.name }
  const jobs: Record<string, JobRow> = {
    backup: await enqueue(database, { trigger: 'SCHEDULE', subject, exclusiveKey: `backup:${life.instance.id}` }),
    verification: await enqueue(database, { operation: 'VERIFY', subject }),
  }
  for (const [name, job] of Object.entries(jobs)) known.set(job.id, name)
  return { life, nameOf: (id) => known.get(id) ?? id }
}
