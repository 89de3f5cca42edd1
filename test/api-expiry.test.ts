import { sql } from 'drizzle-orm'
import { test as base, describe, expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { beginExpiry } from '../src/instance/expiry/begin-expiry.ts'
import { markExpired } from '../src/instance/expiry/mark-expired.ts'
import { finishPurge } from '../src/instance/purge/finish-purge.ts'
import { recordOrphans } from '../src/vault/record-orphans.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint, addVault } from './kit/catalogue.ts'

const test = base.extend('api', async ({ task: _ }, { onCleanup }) => {
  const api = await startApi()
  onCleanup(() => api[Symbol.asyncDispose]())
  return api
})

const day = 86_400_000
const refusal = `... on InvalidInput { field } ... on OperationNotAllowed { currentState allowedOperations }
  ... on RecoveryPointBeingRemoved { isFinal }`
const heldSelection = `... on HoldRecoveryPointPayload { recoveryPoint { state keptBecause hold { reason by since until } removal { reason } } } ${refusal}`

function daysAgo({ clock }: Api, days: number): Date {
  return new Date(clock.now.getTime() - days * day)
}

/** An instance with points of these ages in days, each kept for 30; newest first, their global ids. */
async function withPoints(api: Api, ages: readonly number[]) {
  const instance = await addInstance(api)
  const points = []
  for (const age of ages) points.push(await addPoint(api, instance, { createdAt: daysAgo(api, age) }))
  return { instance, instanceId: encodeNodeId('BackupInstance', instance.id), points }
}

async function mark(api: Api, instanceId: string, ids: string[]): Promise<void> {
  await markExpired(api.database, { instanceId, ids, now: api.clock.now })
}

async function pointsShown(api: Api, instanceId: string) {
  const answer = await api.ask(
    `query ($id: ID!) { backupInstance(id: $id) { expiryDueAt pendingExpiry { blockedSince pointCount }
      recoveryPoints { nodes { keptBecause removal { markedAt reason sweepsAt } hold { reason } } } } }`,
    { id: instanceId },
  )
  return {
    instance: at(answer.data, 'backupInstance'),
    points: listAt(answer.data, 'backupInstance.recoveryPoints.nodes'),
  }
}

describe('a hold', () => {
  test('keeps a point, takes back its mark, shows why, and ends by release', async ({ api }) => {
    const { instance, instanceId, points } = await withPoints(api, [1, 40])
    const [, old] = points
    await mark(api, instance.id, [old?.id ?? ''])
    const shown = (await pointsShown(api, instanceId)).points
    expect(shown[1]).toMatchObject({
      keptBecause: [],
      removal: { markedAt: '2026-03-01T12:00:00.000Z', sweepsAt: '2026-03-01T13:00:00.000Z' },
    })
    const recoveryPoint = encodeNodeId('RecoveryPoint', old?.id ?? '')
    const held = await api.mutate('holdRecoveryPoint', { recoveryPoint, reason: 'For the auditors.' }, heldSelection)
    expect(held).toMatchObject({
      recoveryPoint: {
        state: 'AVAILABLE',
        keptBecause: ['ON_HOLD'],
        hold: { reason: 'For the auditors.', by: 'local', since: '2026-03-01T12:00:00.000Z', until: null },
        removal: null,
      },
    })
    const release = () =>
      api.mutate(
        'releaseRecoveryPoint',
        { recoveryPoint },
        '... on ReleaseRecoveryPointPayload { recoveryPoint { keptBecause hold { reason } } }',
      )
    expect(await release()).toMatchObject({ recoveryPoint: { keptBecause: [], hold: null } })
    expect(at((await pointsShown(api, instanceId)).instance, 'expiryDueAt')).toBe('2026-03-01T12:00:00.000Z')
    expect(await release()).toMatchObject({ __typename: 'NotOnHold' })
  })

  test('ends by itself at its time', async ({ api }) => {
    const { instanceId, points } = await withPoints(api, [1, 40])
    const recoveryPoint = encodeNodeId('RecoveryPoint', points[1]?.id ?? '')
    const until = new Date(api.clock.now.getTime() + 3 * day)
    await api.mutate('holdRecoveryPoint', { recoveryPoint, reason: 'Until Wednesday.', until }, heldSelection)
    expect(at((await pointsShown(api, instanceId)).instance, 'expiryDueAt')).toBe(until.toISOString())
    api.clock.now = until
    expect((await pointsShown(api, instanceId)).points[1]).toMatchObject({ keptBecause: [], hold: null })
  })

  test('is refused without a reason, with an end in the past, on a point that is going, and of a deleted instance', async ({
    api,
  }) => {
    const { instance, points } = await withPoints(api, [1, 40])
    const recoveryPoint = encodeNodeId('RecoveryPoint', points[1]?.id ?? '')
    const hold = (changes: Record<string, unknown>) =>
      api.mutate('holdRecoveryPoint', { recoveryPoint, reason: 'Why not.', ...changes }, heldSelection)
    expect(await hold({ reason: ' ' })).toMatchObject({ __typename: 'InvalidInput', field: 'reason' })
    expect(await hold({ reason: 'x'.repeat(10_000) })).toMatchObject({ __typename: 'InvalidInput', field: 'reason' })
    expect(await hold({ reason: 'bell \u0007' })).toMatchObject({ __typename: 'InvalidInput', field: 'reason' })
    expect(await hold({ until: api.clock.now })).toMatchObject({ __typename: 'InvalidInput', field: 'until' })
    expect(await hold({ recoveryPoint: encodeNodeId('BackupInstance', instance.id) })).toMatchObject({
      __typename: 'NotFound',
    })
    await mark(api, instance.id, [points[1]?.id ?? ''])
    await api.database.update(recoveryPoints).set({ sweepStartedAt: api.clock.now }).where(sql`marked_at is not null`)
    expect(await hold({})).toMatchObject({ __typename: 'RecoveryPointBeingRemoved', isFinal: true })
    await api.database.update(backupInstances).set({ state: 'SOFT_DELETED' })
    expect(await hold({ recoveryPoint: encodeNodeId('RecoveryPoint', points[0]?.id ?? '') })).toMatchObject({
      __typename: 'OperationNotAllowed',
      currentState: 'SOFT_DELETED',
      allowedOperations: ['UNDELETE_BACKUP_INSTANCE'],
    })
  })
})

describe('an expiry that would remove too much', () => {
  const approved = `... on ApproveExpiryPayload { backupInstance { pendingExpiry { pointCount } expiryDueAt }
    effects { removed { count storedBytes recoveryPoints { nodes { id } } } removedAt keptForever { count } awaitingApproval { count } } job { operation status trigger } }`

  test('waits for approval, which lets go what was told of, and no more', async ({ api }) => {
    const { instance, instanceId, points } = await withPoints(api, [1, 29, 40, 41, 42])
    const begin = () => beginExpiry(api.database, { instanceId: instance.id, markAtMost: 0, now: api.clock.now })
    const whatHolds = (shown: Awaited<ReturnType<typeof pointsShown>>) =>
      shown.points.map(({ keptBecause }) => keptBecause)
    const foreseen = whatHolds(await pointsShown(api, instanceId))
    const none = await begin()
    expect(none).toMatchObject({ marked: [], blockedCount: 3 })
    const before = await pointsShown(api, instanceId)
    expect(before.instance).toMatchObject({
      pendingExpiry: { blockedSince: '2026-03-01T12:00:00.000Z', pointCount: 3 },
    })
    expect(foreseen).toEqual(whatHolds(before))
    expect(foreseen).toEqual([
      ['WITHIN_RETENTION', 'NEWEST_RESTORABLE', 'BEST_PROVEN'],
      ['WITHIN_RETENTION'],
      ['AWAITING_APPROVAL'],
      ['AWAITING_APPROVAL'],
      ['AWAITING_APPROVAL'],
    ])
    api.clock.now = new Date(api.clock.now.getTime() + 2 * day)
    const rehearsed = await api.mutate('approveExpiry', { backupInstance: instanceId, dryRun: true }, approved)
    expect(at((await pointsShown(api, instanceId)).instance, 'pendingExpiry.pointCount')).toBe(3)
    const real = await api.mutate('approveExpiry', { backupInstance: instanceId }, approved)
    expect(rehearsed).toMatchObject({ job: null })
    expect(real).toEqual({ ...rehearsed, job: { operation: 'EXPIRE', status: 'QUEUED', trigger: 'USER' } })
    const ids = points.slice(2).map(({ id }) => encodeNodeId('RecoveryPoint', id))
    expect(real).toMatchObject({
      backupInstance: { pendingExpiry: null, expiryDueAt: '2026-03-03T12:00:00.000Z' },
      effects: {
        removed: { count: 3, storedBytes: 3_000_000_000, recoveryPoints: { nodes: ids.map((id) => ({ id })) } },
        keptForever: { count: 0 },
      },
    })
    const { marked, blockedCount } = await begin()
    expect(marked.toSorted()).toEqual(
      points
        .slice(1)
        .map(({ id }) => id)
        .toSorted(),
    )
    expect(blockedCount).toBe(0)
    expect(await api.mutate('approveExpiry', { backupInstance: instanceId }, approved)).toMatchObject({
      __typename: 'NothingToApprove',
    })
  })
})

describe('what is shown of expiry', () => {
  test('costs the same number of statements for any number of points and vaults', async ({ api }) => {
    const vault = await addVault(api)
    const query = `{ recoveryPoints { nodes { keptBecause hold { reason } removal { reason } backupInstance { pendingExpiry { pointCount } expiryDueAt } } }
      vaults { nodes { orphanCount orphans { nodes { folder kind recoveryPoint { id } } totalCount } } } }`
    const statementsFor = async () => {
      const before = api.statements.length
      expect((await api.ask(query)).errors).toBeUndefined()
      // Each new connection asks once what types there are.
      return api.statements.slice(before).filter((statement) => !statement.includes('pg_catalog')).length
    }
    const add = async (name: string) => {
      const instance = await addInstance(api, { name, vault: name === 'one' ? vault : await addVault(api, name) })
      const point = await addPoint(api, instance, { createdAt: daysAgo(api, 40) })
      await recordOrphans(api.database, {
        vault: { id: instance.vaultId, name },
        instance,
        orphans: [
          { prefix: point.prefix, kind: 'ROW_WITHOUT_BYTES', recoveryPointId: point.id, objectCount: 1, sizeBytes: 5 },
        ],
        jobId: point.jobId,
        now: api.clock.now,
      })
    }
    await add('one')
    const few = await statementsFor()
    for (const name of ['two', 'three', 'four']) await add(name)
    expect(await statementsFor()).toBe(few)
  })

  test('stays readable when its instance has been purged', async ({ api }) => {
    const { instance } = await withPoints(api, [1])
    await api.database.update(backupInstances).set({ state: 'SOFT_DELETED', purgeStartedAt: api.clock.now })
    await api.database.delete(recoveryPoints)
    await api.database.transaction((tx) =>
      finishPurge(tx, {
        instanceId: instance.id,
        jobId: crypto.randomUUID(),
        points: { count: 1, storedBytes: 20 },
        now: api.clock.now,
      }),
    )
    const answer = await api.ask(`{
      jobs { nodes { operation backupInstanceName backupInstance { id } targetRecoveryPoint { id } } }
      auditLog { nodes { action subjectName subject { id } } }
      notifications { nodes { kind message backupInstance { id } } }
    }`)
    expect(answer.errors).toBeUndefined()
    expect(listAt(answer.data, 'jobs.nodes')).toEqual([
      { operation: 'BACKUP', backupInstanceName: 'db in main', backupInstance: null, targetRecoveryPoint: null },
    ])
    expect(listAt(answer.data, 'auditLog.nodes')).toContainEqual({
      action: 'instancePurged',
      subjectName: 'db in main',
      subject: null,
    })
    expect(listAt(answer.data, 'notifications.nodes')[0]).toMatchObject({
      kind: 'INSTANCE_PURGED',
      backupInstance: null,
    })
  })

  test('pages the orphans of a vault', async ({ api }) => {
    const vault = await addVault(api)
    const instance = await addInstance(api, { vault })
    const prefixes = ['a', 'b', 'c'].map((name) => `points/${instance.id}/${name}/`)
    const orphans = prefixes.map((prefix) => ({
      prefix,
      kind: 'BYTES_WITHOUT_ROW' as const,
      recoveryPointId: null,
      objectCount: 2,
      sizeBytes: 3_000_000_000,
    }))
    await recordOrphans(api.database, { vault, instance, orphans, jobId: crypto.randomUUID(), now: api.clock.now })
    const page = async (after: string | null) => {
      const answer = await api.ask(
        `query ($after: Cursor) { vaults { nodes { orphanCount orphans(first: 2, after: $after) {
          nodes { folder kind sizeBytes firstSeenAt recoveryPoint { id } backupInstance { name } }
          pageInfo { endCursor hasNextPage } totalCount } } } }`,
        { after },
      )
      return at(listAt(answer.data, 'vaults.nodes')[0], 'orphans')
    }
    const first = await page(null)
    expect(first).toMatchObject({
      nodes: [{ folder: prefixes[0], backupInstance: { name: 'db in main' } }, { folder: prefixes[1] }],
      pageInfo: { hasNextPage: true },
      totalCount: 3,
    })
    expect(await page(String(at(first, 'pageInfo.endCursor')))).toMatchObject({
      nodes: [{ folder: prefixes[2], sizeBytes: 3_000_000_000, recoveryPoint: null }],
      pageInfo: { hasNextPage: false },
    })
  })
})
