import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, at, listAt, startApi, textAt } from './kit/api.ts'
import { addInstance, addPoint, addPolicy, addServer } from './kit/catalogue.ts'
import { dumpOf } from './kit/lifecycle.ts'
import { enqueue } from './kit/runner.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const day = 86_400_000
const daysAgo = (days: number) => new Date(api.clock.now.getTime() - days * day)

const effects = `effects { removedAt ${['removed', 'keptForever', 'startsExpiring', 'awaitingApproval']
  .map((set) => `${set} { count storedBytes recoveryPoints { totalCount nodes { id } } }`)
  .join(' ')} }`
const instanceFields =
  'backupInstance { id name state stopReason stopComment deletedAt scheduledPurgeAt policy { name } }'
const refusals = '... on OperationNotAllowed { currentState allowedOperations } ... on NotFound { kind }'

test('stopping says what becomes of each point, first dry, then for real', async () => {
  const instance = await addInstance(api)
  const backupInstance = encodeNodeId('BackupInstance', instance.id)
  for (const age of [50, 40, 5]) await addPoint(api, instance, { createdAt: daysAgo(age) })
  const subject = { instanceId: instance.id }
  const queued = await enqueue(api.database, { trigger: 'SCHEDULE', subject, exclusiveKey: 'backup' })
  const stop = (input: object) =>
    api.mutate(
      'stopProtection',
      { backupInstance, ...input },
      `... on StopProtectionPayload { ${instanceFields} ${effects} cancelledJobs { id status } } ${refusals}`,
    )
  const before = await dumpOf(api.database)
  const asPerPolicy = await stop({ data: 'RETAIN_AS_PER_POLICY', dryRun: true })
  expect(asPerPolicy).toMatchObject({
    backupInstance: { state: 'BACKUP_SCHEDULES_SUSPENDED' },
    effects: {
      removed: { count: 0, storedBytes: 0, recoveryPoints: { totalCount: 0, nodes: [] } },
      keptForever: { count: 1, storedBytes: 1_000_000_000 },
      startsExpiring: { count: 0 },
      removedAt: null,
    },
    cancelledJobs: expect.arrayContaining([{ id: encodeNodeId('Job', queued.id), status: 'QUEUED' }]),
  })
  expect(await dumpOf(api.database)).toEqual(before)
  const forever = { data: 'RETAIN_FOREVER', reason: 'MIGRATED', comment: 'Moved on.\nSee the wiki.' }
  expect(await stop(forever)).toMatchObject({
    backupInstance: { state: 'PROTECTION_STOPPED', stopReason: 'MIGRATED', stopComment: 'Moved on.\nSee the wiki.' },
    effects: { keptForever: { count: 3, storedBytes: 3_000_000_000, recoveryPoints: { totalCount: 3 } } },
  })
  expect(await stop(forever)).toMatchObject({
    __typename: 'OperationNotAllowed',
    currentState: 'PROTECTION_STOPPED',
    allowedOperations: expect.arrayContaining(['RESUME_PROTECTION', 'STOP_PROTECTION_RETAIN_AS_PER_POLICY']),
  })
})

test('resuming starts the job that cleans up, and answers it', async () => {
  const instance = await addInstance(api, { state: 'PROTECTION_STOPPED' })
  const ages = [60, 50, 5, 4, 3]
  for (const age of ages) await addPoint(api, instance, { createdAt: daysAgo(age) })
  const backupInstance = encodeNodeId('BackupInstance', instance.id)
  const resume = (dryRun: boolean) =>
    api.mutate(
      'resumeProtection',
      { backupInstance, dryRun },
      `... on ResumeProtectionPayload { ${instanceFields} ${effects} job { operation status trigger } } ${refusals}`,
    )
  const dry = await resume(true)
  expect(dry).toMatchObject({ job: null, effects: { removed: { count: 2 }, startsExpiring: { count: 3 } } })
  const real = await resume(false)
  expect(real).toMatchObject({ job: { operation: 'EXPIRE', status: 'QUEUED', trigger: 'USER' } })
  expect(at(real, 'effects')).toEqual(at(dry, 'effects'))
  expect(at(real, 'backupInstance')).toEqual(at(dry, 'backupInstance'))
})

test('deleting by either name is one operation, and pages what goes', async () => {
  const instance = await addInstance(api)
  const backupInstance = encodeNodeId('BackupInstance', instance.id)
  for (const age of [5, 4, 3]) await addPoint(api, instance, { createdAt: daysAgo(age) })
  const selection = (payload: string, page: string) =>
    `... on ${payload} { ${instanceFields} effects { removed { count recoveryPoints(${page}) { nodes { createdAt } pageInfo { hasNextPage endCursor } } } } }
     ... on ConfirmationMismatch { field } ${refusals}`
  const dry = { backupInstance, dryRun: true, confirmName: instance.name }
  const first = await api.mutate('deleteBackupInstance', dry, selection('DeleteBackupInstancePayload', 'first: 2'))
  expect(listAt(first, 'effects.removed.recoveryPoints.nodes')).toHaveLength(2)
  const after = textAt(first, 'effects.removed.recoveryPoints.pageInfo.endCursor')
  const rest = await api.mutate(
    'deleteBackupInstance',
    dry,
    selection('DeleteBackupInstancePayload', `after: "${after}"`),
  )
  expect(at(rest, 'effects.removed.recoveryPoints')).toMatchObject({
    nodes: [{ createdAt: daysAgo(5).toISOString() }],
    pageInfo: { hasNextPage: false },
  })
  const stop = (input: object) =>
    api.mutate(
      'stopProtection',
      { backupInstance, data: 'DELETE', ...input },
      selection('StopProtectionPayload', 'first: 1'),
    )
  expect(await stop({})).toMatchObject({ __typename: 'ConfirmationMismatch', field: 'confirmName' })
  expect(await stop({ confirmName: instance.name, reason: 'COST' })).toMatchObject({
    backupInstance: {
      state: 'SOFT_DELETED',
      stopReason: 'COST',
      deletedAt: api.clock.now.toISOString(),
      scheduledPurgeAt: daysAgo(-14).toISOString(),
    },
    effects: { removed: { count: 3 } },
  })
  const undelete = () =>
    api.mutate(
      'undeleteBackupInstance',
      { backupInstance },
      `... on UndeleteBackupInstancePayload { ${instanceFields} ${effects} } ${refusals}`,
    )
  expect(await undelete()).toMatchObject({
    backupInstance: { state: 'PROTECTION_STOPPED', deletedAt: null, scheduledPurgeAt: null },
    effects: { keptForever: { count: 3 } },
  })
  expect(await undelete()).toMatchObject({ __typename: 'OperationNotAllowed', currentState: 'PROTECTION_STOPPED' })
})

test('a policy is changed and a backup made under one of its tags', async () => {
  const instance = await addInstance(api)
  const backupInstance = encodeNodeId('BackupInstance', instance.id)
  const policy = encodeNodeId('BackupPolicy', (await addPolicy(api, 'a month')).id)
  const change = await api.mutate(
    'changePolicy',
    { backupInstance, policy },
    `... on ChangePolicyPayload { ${instanceFields} ${effects} shortenings } ${refusals}`,
  )
  expect(change).toMatchObject({
    backupInstance: { policy: { name: 'a month' } },
    effects: { removed: { count: 0 }, keptForever: { count: 0 }, startsExpiring: { count: 0 } },
    shortenings: [],
  })
  const backUp = (retentionTag: string) =>
    api.mutate(
      'backUpNow',
      { backupInstance, retentionTag },
      '... on BackUpNowPayload { job { status } } ... on InvalidInput { field }',
    )
  expect(await backUp('YEARLY')).toMatchObject({
    field: 'retentionTag',
    recommendedActions: ['Name one that it has: DEFAULT. Or leave the field out: then it is DEFAULT.'],
  })
  expect(await backUp('DEFAULT')).toMatchObject({ job: { status: 'QUEUED' } })
})

test('what a deleted instance still holds says by which', async () => {
  const server = await addServer(api, 'db')
  const instance = await addInstance(api, { server, state: 'SOFT_DELETED' })
  const answer = await api.mutate(
    'configureProtection',
    { server: encodeNodeId('PostgresServer', server.id), vault: encodeNodeId('Vault', instance.vaultId) },
    '... on PlaceHeldBySoftDeleted { backupInstance { name state } scheduledPurgeAt }',
  )
  expect(answer).toMatchObject({
    __typename: 'PlaceHeldBySoftDeleted',
    backupInstance: { name: instance.name, state: 'SOFT_DELETED' },
  })
})
