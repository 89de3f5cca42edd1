import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { countStanding } from '../src/instance/count-standing.ts'
import { findOldestQueuedAt } from '../src/job/find.ts'
import { addLife, now } from './kit/lifecycle.ts'
import { enqueue } from './kit/runner.ts'
import { test } from './kit/test.ts'

describe('What operators are alarmed by', () => {
  test('is the health of what is backed up, and not of what was stopped or deleted', async ({ database }) => {
    const instance = { health: 'DEGRADED' as const, failuresInARow: 3 }
    const { id } = await addLife(database, { points: [], instance })
    const counts = async () => (await countStanding(database, now)).byHealth
    const states = backupInstances.state.enumValues.filter((state) => state !== 'PROTECTION_CONFIGURED')
    expect(await counts()).toEqual([{ health: 'DEGRADED', count: 1 }])
    const seen: string[] = []
    for (const state of states) {
      await database.update(backupInstances).set({ state }).where(eq(backupInstances.id, id))
      if ((await counts()).length > 0) seen.push(state)
    }
    expect(seen).toEqual(['CONFIGURING_PROTECTION', 'CONFIGURING_PROTECTION_FAILED'])
  })

  test('is damage that can still be met, and not that of a soft-deleted instance', async ({ database }) => {
    const points = [{ madeDaysAgo: 1, endsInDays: 9, state: 'SUSPECT' as const }]
    await addLife(database, { points, state: 'PROTECTION_STOPPED' })
    const { id } = await addLife(database, { points })
    expect(await countStanding(database, now)).toMatchObject({ suspectPointCount: 2 })
    await database.update(backupInstances).set({ state: 'SOFT_DELETED' }).where(eq(backupInstances.id, id))
    expect(await countStanding(database, now)).toMatchObject({ suspectPointCount: 1 })
    await database.update(recoveryPoints).set({ state: 'AVAILABLE' })
    expect(await countStanding(database, now)).toMatchObject({ suspectPointCount: 0 })
  })

  test('is a job that waits, and not a copy or a verification of the clock that waits its turn', async ({
    database,
  }) => {
    await enqueue(database, { operation: 'COPY', trigger: 'SYSTEM' })
    await enqueue(database, { operation: 'VERIFY', trigger: 'SYSTEM' })
    expect(await findOldestQueuedAt(database)).toBeNull()
    const asked = await enqueue(database, { operation: 'VERIFY', trigger: 'USER' })
    expect(await findOldestQueuedAt(database)).toEqual(asked.runAt)
    await enqueue(database, { operation: 'BACKUP', trigger: 'SCHEDULE' })
    expect(await findOldestQueuedAt(database)).toEqual(asked.runAt)
  })
})
