import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import type { Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { jobs } from '../src/database/tables/job.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { enqueueExpiry } from '../src/instance/expiry/enqueue-expiry.ts'
import type { BackupInstance } from '../src/instance/instance.ts'
import { undeleteBackupInstance } from '../src/instance/undelete-backup-instance.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { backUpMetadata } from '../src/vault/metadata/back-up.ts'
import { allChores } from '../src/worker/clock/chores.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, runSql, type Service, startService } from './kit/protected-server.ts'
import { recoverFrom } from './kit/recovered.ts'
import { backUp } from './kit/replica.ts'
import { test } from './kit/test.ts'

const now = () => new Date()
const anHourAgo = () => new Date(Date.now() - 3_600_000)
const weekMs = 7 * 86_400_000

interface Story {
  databaseUrl: string
  folder: string
  source: Cluster
}

/** A machine with two points of an instance, and a copy of its metadata as it was after `change`; it is gone then. */
async function lostMachine(
  { databaseUrl, folder, source }: Story,
  change: (made: { database: Database; instance: BackupInstance; points: RecoveryPoint[] }) => Promise<unknown>,
) {
  await runSql(source, 'postgres', 'create table if not exists kept as select n from generate_series(1, 100) n')
  await using service = await startService({ databaseUrl, folder })
  const { database, secrets, ended } = service
  const { vault, vaultPath, instance } = await protect(service, source, folder)
  const asked = { vaultId: vault.id, secrets, actor, now: now() }
  const { recoveryKey } = await exportRecoveryKey(database, asked)
  const points = [await backUp(service, instance.id), await backUp(service, instance.id)]
  await change({ database, instance, points })
  expect(await ended((await backUpMetadata(database, asked)).id)).toMatchObject({ status: 'COMPLETED' })
  return { instance, vaultPath, recoveryKey, points }
}

/** Has the clock look at everything once; answers what it has begun of the kind. */
async function begunByTheClock({ context, database }: Service, operation: 'EXPIRE' | 'PURGE'): Promise<number> {
  for (const chore of allChores({ isSetByHand: false })) await chore.run(context, await context.dueNow())
  return database.$count(jobs, eq(jobs.operation, operation))
}

describe('a recovery from a copy that is older than what protects points', { timeout: 120_000 }, () => {
  test('does not purge an instance that was had back since: there is a week to do so again', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    const story = { databaseUrl, folder, source }
    const { instance, vaultPath, recoveryKey } = await lostMachine(
      story,
      async ({ database, instance: { id, name } }) => {
        const why = { reason: null, comment: null, dryRun: false, actor, now: now() }
        await deleteBackupInstance(database, { instanceId: id, confirmName: name, ...why })
        await database.update(backupInstances).set({ scheduledPurgeAt: anHourAgo() })
      },
    )
    await using place = await recoverFrom(vaultPath, { recoveryKey, folder })
    const { until, purges } = place.recovered.removals
    expect(until.getTime() - Date.now()).toBeGreaterThan(weekMs - 60_000)
    expect(purges).toEqual([instance.name])
    await using after = await startService(place)
    const { database } = after
    expect(await database.select().from(notifications)).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining(`Nothing is removed until ${until.toISOString()}`) }),
    )
    expect(await begunByTheClock(after, 'PURGE')).toBe(0)
    expect(await database.select().from(backupInstances)).toMatchObject([{ scheduledPurgeAt: until }])
    await undeleteBackupInstance(database, { instanceId: instance.id, dryRun: false, actor, now: now() })
    expect(await findRecoveryPointsOf(database, instance.id)).toHaveLength(2)
  })

  test('does not let a point expire that was put on hold since, also where an expiry is asked for', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    const story = { databaseUrl, folder, source }
    const { instance, vaultPath, recoveryKey } = await lostMachine(story, async ({ database, points }) => {
      const isOlder = eq(recoveryPoints.id, points[0]?.id ?? '')
      await database.update(recoveryPoints).set({ expiresAt: anHourAgo() }).where(isOlder)
      await database.update(backupInstances).set({ expiryDueAt: anHourAgo() })
    })
    await using place = await recoverFrom(vaultPath, { recoveryKey, folder })
    const { until, expiringPointCount } = place.recovered.removals
    expect(expiringPointCount).toBe(1)
    await using after = await startService(place)
    const { database } = after
    expect(await begunByTheClock(after, 'EXPIRE')).toBe(0)
    const asked = { instance, trigger: 'USER' as const, actor, now: now() }
    const job = await database.transaction((tx) => enqueueExpiry(tx, asked))
    expect(await after.ended(job.id)).toMatchObject({
      status: 'COMPLETED_WITH_WARNINGS',
      warnings: [expect.stringContaining(`nothing is removed until ${until.toISOString()}`)],
    })
    expect(await findRecoveryPointsOf(database, instance.id)).toMatchObject([{ markedAt: null }, { markedAt: null }])
  })
})
