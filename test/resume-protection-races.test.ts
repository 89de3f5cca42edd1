import { eq, sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { carryOut, StartOver } from '../src/database/rehearse.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { resumeProtection } from '../src/instance/resume-protection.ts'
import { usualRetentionLimits } from '../src/policy/check-rules.ts'
import { lockPolicy } from '../src/policy/find.ts'
import { revisePolicy } from '../src/policy/revise.ts'
import { asked, instanceOf, refusalOf } from './kit/lifecycle.ts'
import { live } from './kit/perform.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

test('protection resumes under a policy that is chosen and revised at the same moment', async ({ database }) => {
  const { instance, otherPolicyId: policyId } = await live(database, { state: 'PROTECTION_STOPPED', points: [] })
  const waiting = (count: number) =>
    waitFor(`${count} sessions that wait for a lock`, async () => {
      const [row] = await database.execute<{ count: number }>(
        sql`select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return (row?.count ?? 0) >= count
    })
  // The other policy is being chosen: resuming has read the former one, and waits for the instance.
  const { resumed, revised } = await database.transaction(async (tx) => {
    await lockPolicy(tx, policyId)
    await tx.update(backupInstances).set({ policyId, policyVersion: 1 }).where(eq(backupInstances.id, instance.id))
    const resuming = resumeProtection(database, { instanceId: instance.id, ...asked })
    await waiting(1)
    const changes = { defaultRetention: 'P100D' }
    const revising = revisePolicy(database, {
      policyId,
      expectedVersion: 1,
      changes,
      limits: usualRetentionLimits,
      ...asked,
    })
    await waiting(2)
    return { resumed: Promise.allSettled([resuming]), revised: Promise.allSettled([revising]) }
  })
  expect(await revised).toMatchObject([{ status: 'fulfilled' }])
  expect(await resumed).toMatchObject([{ status: 'fulfilled' }])
  expect(await instanceOf(database, instance.id)).toMatchObject({
    state: 'PROTECTION_CONFIGURED',
    policyId,
    policyVersion: 2,
  })
})

test.for([true, false])(
  'work that has to start over does so a few times at most, dry run: %s',
  async (dryRun, { database }) => {
    let starts = 0
    const work = (times: number) =>
      carryOut(database, { dryRun }, async () => {
        if (++starts < times) throw new StartOver('Not yet.')
        return 'done'
      })
    expect(await work(3)).toBe('done')
    expect(starts).toBe(3)
    starts = 0
    expect(await refusalOf(work(100))).toBeInstanceOf(StartOver)
    expect(starts).toBe(5)
  },
)
