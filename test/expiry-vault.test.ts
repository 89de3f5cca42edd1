import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaultOrphans } from '../src/database/tables/vault.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { day, type Life, startLife } from './kit/life.ts'
import { test } from './kit/test.ts'

function marked({ clock }: Life) {
  return { state: 'REMOVING' as const, markedAt: clock.now, markReason: 'Its time was over.' }
}

/** Takes a file of a point's folder away, behind the back of the catalogue. */
async function lose({ vaultPath }: Life, { prefix }: RecoveryPoint, file = ''): Promise<void> {
  await rm(join(vaultPath, prefix, file), { recursive: true })
}

/** Moves a point's folder to where no folder of the instance is: from there it is not removed. */
async function misplace({ vaultPath, database }: Life, { id, prefix }: RecoveryPoint): Promise<RecoveryPoint> {
  const elsewhere = prefix.replace('points/', 'points/of-another-')
  await mkdir(dirname(join(vaultPath, elsewhere)), { recursive: true })
  await rename(join(vaultPath, prefix), join(vaultPath, elsewhere))
  const [moved] = await database
    .update(recoveryPoints)
    .set({ prefix: elsewhere })
    .where(eq(recoveryPoints.id, id))
    .returning()
  if (!moved) throw new Error('There is no such point.')
  return moved
}

describe('a point whose files vanish', () => {
  test('is seen before anything goes: what was chosen for removal is kept instead', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const old = await life.addPoint(40, marked(life))
    const newest = await life.addPoint(1)
    await lose(life, newest)
    await life.expire()
    expect(await life.pointNow(newest)).toMatchObject({ state: 'SUSPECT' })
    expect(await life.pointNow(old)).toMatchObject({ state: 'AVAILABLE', markedAt: null })
    expect(await life.filesOf(old)).toHaveLength(3)
  })

  test('does not outlive a whole one by having been chosen for removal with it', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const whole = await life.addPoint(41, marked(life))
    const lost = await life.addPoint(40, marked(life))
    await lose(life, lost, '0001.dump.age')
    expect((await life.expire()).warnings).toEqual([`${lost.prefix} holds 10 of 20 bytes.`])
    expect(await life.pointNow(whole)).toMatchObject({ state: 'AVAILABLE' })
    expect(await life.filesOf(whole)).toHaveLength(3)
  })

  test('is suspect when all that is missing is an archive', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const point = await life.addPoint(1)
    await lose(life, point, '0001.dump.age')
    expect(await life.expire()).toMatchObject({ status: 'COMPLETED_WITH_WARNINGS' })
    expect(await life.pointNow(point)).toMatchObject({
      state: 'SUSPECT',
      damage: [`${point.prefix} holds 10 of 20 bytes.`],
    })
    expect(await life.database.select().from(vaultOrphans)).toMatchObject([
      { kind: 'ROW_WITHOUT_BYTES', prefix: point.prefix, recoveryPointId: point.id, objectCount: 2, sizeBytes: 20 },
    ])
  })

  test('makes its instance overdue when it was the only one', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const { database, clock } = life
    const point = await life.addPoint(0)
    const plannedAt = new Date(clock.now.getTime() + 10 * 365 * day)
    await database
      .update(backupInstances)
      .set({ overdueAt: plannedAt, stateSince: new Date(clock.now.getTime() - 30 * day) })
    await lose(life, point)
    await life.expire()
    expect((await life.instanceNow())?.overdueAt).not.toEqual(plannedAt)
  })
})

describe('a folder that cannot be removed', () => {
  test('holds up no other point, and the run says so at its end', async ({ databaseUrl, folder }) => {
    await using life = await startLife({ databaseUrl, folder })
    const stuck = await misplace(life, await life.addPoint(60, marked(life)))
    const others = [await life.addPoint(50, marked(life)), await life.addPoint(40)]
    const newest = await life.addPoint(1)
    const job = await life.expire()
    expect(job).toMatchObject({ status: 'FAILED', error: { code: 'STORAGE_KEY_INVALID' } })
    expect(job.error?.details).toContain(stuck.prefix)
    expect(await life.pointIds()).toEqual([newest.id, stuck.id])
    for (const other of others) expect(await life.filesOf(other)).toEqual([])
    expect(await life.filesOf(stuck)).toHaveLength(3)
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(life.clock.now.getTime() + 3_600_000))
  })
})

test('a run tells of each folder that it looks at', async ({ databaseUrl, folder }) => {
  await using life = await startLife({ databaseUrl, folder })
  for (const age of [1, 2, 3]) await life.addPoint(age)
  expect(await life.expire()).toMatchObject({ status: 'COMPLETED', rowsDone: 3 })
})

describe('after a clock that was ahead was put right', () => {
  test('what it chose is looked at anew: kept within its time, else given its grace', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startLife({ databaseUrl, folder })
    life.service.context.removalGraceMs = day
    const { clock } = life
    const inAYear = new Date(clock.now.getTime() + 365 * day)
    const tooEarly = await life.addPoint(10, { ...marked(life), markedAt: inAYear })
    const over = await life.addPoint(40, { ...marked(life), markedAt: inAYear })
    await life.addPoint(1)
    await life.expire()
    expect(await life.pointNow(tooEarly)).toMatchObject({ state: 'AVAILABLE', markedAt: null })
    expect(await life.pointNow(over)).toMatchObject({ state: 'REMOVING', markedAt: clock.now })
    expect((await life.instanceNow())?.expiryDueAt).toEqual(new Date(clock.now.getTime() + day))
    clock.now = new Date(clock.now.getTime() + day)
    await life.expire()
    expect(await life.pointNow(over)).toBeUndefined()
    expect(await life.filesOf(tooEarly)).toHaveLength(3)
  })
})
