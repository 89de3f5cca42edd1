import { join } from 'node:path'
import { eq, sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { connectDatabase } from '../src/database/connect.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { auditRecords } from '../src/database/tables/audit.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { policyVersions } from '../src/database/tables/policy.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { startApi } from './kit/api.ts'
import { fillAsFirstVersion, madeAt, migrateToFirstVersion } from './kit/first-version.ts'
import { emptyDatabase } from './kit/fresh-database.ts'
import { startService } from './kit/protected-server.ts'
import { test as base } from './kit/test.ts'

/** A database as the first version left it, with its key file in the folder. */
const test = base.extend('first', async ({ folder, source }, { onCleanup }) => {
  const empty = await emptyDatabase()
  onCleanup(() => empty[Symbol.asyncDispose]())
  await migrateToFirstVersion(empty.url)
  const secrets = await openSecretBox(join(folder, 'secret.key'))
  const data = await fillAsFirstVersion(empty.url, { secrets, source, vaultPath: join(folder, 'vault') })
  return { databaseUrl: empty.url, ...data }
})

const days = (count: number) => new Date(madeAt.getTime() + count * 86_400_000)

test('every row of the first version is there, with what the new columns mean for it', async ({ first }) => {
  await migrateDatabase(first.databaseUrl)
  await using connection = connectDatabase(first.databaseUrl)
  const { database } = connection
  expect(await database.select().from(policyVersions)).toEqual([
    {
      policyId: first.policyId,
      version: 1,
      timeZone: 'UTC',
      schedule: null,
      defaultRetention: 'P30D',
      retentionRules: [],
      createdAt: madeAt,
      createdBy: 'holdfast',
      verification: { decode: { kind: 'WITHIN', duration: 'P30D' }, restoreEvery: null },
      anomalyGate: { rows: 50, bytes: 50, tables: 50 },
    },
  ])
  expect(await database.select().from(vaults)).toMatchObject([{ scrubDays: 30, scrubDueAt: null }])
  expect(await database.select().from(backupInstances)).toMatchObject([
    {
      verificationDueAt: null,
      contentAnomalySince: null,
      id: first.instanceId,
      policyId: first.policyId,
      policyVersion: 1,
      state: 'PROTECTION_CONFIGURED',
      stateSince: madeAt,
      nextBackupAt: null,
      overdueAt: null,
      lastTaggedAt: {},
      expiryDueAt: days(31),
      scheduledPurgeAt: null,
      health: 'HEALTHY',
      failuresInARow: 0,
      jitter: expect.any(Number),
    },
  ])
  expect(await database.select().from(recoveryPoints).orderBy(recoveryPoints.createdAt)).toMatchObject(
    first.pointIds.map((id, index) => ({
      id,
      policyName: 'On demand, 30 days',
      policyVersion: 1,
      isTagRequested: false,
      createdAt: days(index + 1),
      expiresAt: days(index + 31),
      heldAt: null,
      markedAt: null,
    })),
  )
  expect(await database.select().from(vaults)).toMatchObject([
    { id: first.vaultId, softDeleteDays: 14, immutability: 'DISABLED', expiryShareLimitPercent: 50, freeBytes: null },
  ])
  expect(await database.select().from(auditRecords)).toMatchObject([{ id: first.auditId, before: null, after: null }])
})

test('what has no points yet has nothing to expire, and every policy keeps its retention', async ({ first }) => {
  await using connection = connectDatabase(first.databaseUrl)
  const { database } = connection
  await database.execute(sql`
    insert into backup_policies (id, name, default_retention, created_at)
    values ('00000000-0000-4000-8000-00000000000a', 'a year', 'P1Y', now())`)
  await database.execute(sql`delete from recovery_points`)
  await migrateDatabase(first.databaseUrl)
  expect(await database.select().from(backupInstances)).toMatchObject([{ expiryDueAt: null }])
  const retentions = await database.select({ retention: policyVersions.defaultRetention }).from(policyVersions)
  expect(retentions.map(({ retention }) => retention).toSorted()).toEqual(['P1Y', 'P30D'])
})

test('three processes that migrate a database of the first version at once all succeed', async ({ first }) => {
  await Promise.all([1, 2, 3].map(() => migrateDatabase(first.databaseUrl)))
  await using connection = connectDatabase(first.databaseUrl)
  expect(await connection.database.$count(recoveryPoints)).toBe(2)
  expect(await connection.database.$count(policyVersions)).toBe(1)
})

test('the API shows all of it', async ({ first }) => {
  await migrateDatabase(first.databaseUrl)
  await using api = await startApi(first)
  const { data, errors } = await api.ask(
    `query ($id: ID!) {
      backupInstance(id: $id) {
        name state health allowedOperations nextBackupAt storedBytes recoveryPointCount
        policy { name version defaultRetention isBuiltIn } vault { name softDelete { retentionDays } immutability } server { name }
        recoveryPoints { nodes { tag expiresAt proof policyName policyVersion isTagRequested job { status } } }
        jobs(since: null) { nodes { operation status events { nodes { type } } } } growth { points { sourceBytes } }
      }
      auditLog { nodes { action subjectName changes { field } details { name } } }
    }`,
    { id: encodeNodeId('BackupInstance', first.instanceId) },
  )
  expect(errors).toBeUndefined()
  const point = {
    tag: 'DEFAULT',
    proof: 'READ_BACK',
    policyName: 'On demand, 30 days',
    policyVersion: 1,
    isTagRequested: false,
    job: { status: 'COMPLETED' },
  }
  expect(data).toMatchObject({
    backupInstance: {
      name: 'db in main',
      state: 'PROTECTION_CONFIGURED',
      health: 'HEALTHY',
      nextBackupAt: null,
      storedBytes: 2_000_000,
      recoveryPointCount: 2,
      policy: { name: 'On demand, 30 days', version: 1, defaultRetention: 'P30D', isBuiltIn: true },
      vault: { name: 'main', softDelete: { retentionDays: 14 }, immutability: 'DISABLED' },
      recoveryPoints: { nodes: [point, point] },
      jobs: { nodes: [{ status: 'QUEUED' }, { status: 'COMPLETED' }, { status: 'COMPLETED' }] },
    },
    auditLog: {
      nodes: [{ action: 'createVault', subjectName: 'main', changes: [], details: [{ name: 'directory' }] }],
    },
  })
})

test('a backup that waited during the upgrade is made, and the next one after it', async ({ first, folder }) => {
  await migrateDatabase(first.databaseUrl)
  await using service = await startService({ databaseUrl: first.databaseUrl, folder })
  expect(await service.ended(first.jobIds[2])).toMatchObject({ status: 'COMPLETED', error: null })
  const job = await backUpNow(service.database, {
    instanceId: first.instanceId,
    retentionTag: null,
    actor: 'tester',
    now: new Date(),
  })
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
  const points = await service.database
    .select()
    .from(recoveryPoints)
    .where(eq(recoveryPoints.instanceId, first.instanceId))
    .orderBy(recoveryPoints.createdAt)
  expect(points).toHaveLength(4)
  expect(points.at(-1)).toMatchObject({ jobId: job.id, tag: 'DEFAULT', policyVersion: 1, proof: 'READ_BACK' })
})
