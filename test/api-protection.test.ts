import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { allowedOperations } from '../src/instance/states.ts'
import { type Api, at, startApi, textAt } from './kit/api.ts'
import { addInstance, addPoint, addPolicy, addServer, addVault, builtInPolicy } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const unknown = '00000000-0000-4000-8000-000000000000'

const configured = `... on ConfigureProtectionPayload { backupInstance { id name state stateSince allowedOperations
    server { name } vault { name } policy { name isBuiltIn } latestRecoveryPoint { id } lastBackup { id } sourceBytes storedBytes }
    job { id operation category status backupInstance { id } supportedActions } }
  ... on NotFound { kind } ... on NameTaken { takenName } ... on InvalidInput { field } ... on AlreadyProtected { backupInstance { name } }`

test('protection begins at once, under the built-in policy unless one is named, with the job that checks', async () => {
  await builtInPolicy(api)
  const server = encodeNodeId('PostgresServer', (await addServer(api, 'db')).id)
  const vault = encodeNodeId('Vault', (await addVault(api, 'main')).id)
  const answer = await api.mutate('configureProtection', { server, vault }, configured)
  expect(answer).toMatchObject({
    backupInstance: {
      name: 'db in main',
      state: 'CONFIGURING_PROTECTION',
      stateSince: '2026-03-01T12:00:00.000Z',
      allowedOperations: allowedOperations('CONFIGURING_PROTECTION'),
      server: { name: 'db' },
      vault: { name: 'main' },
      policy: { isBuiltIn: true },
      latestRecoveryPoint: null,
      lastBackup: null,
      sourceBytes: null,
      storedBytes: 0,
    },
    job: {
      operation: 'CONFIGURE_PROTECTION',
      category: 'MANAGEMENT',
      status: 'QUEUED',
      backupInstance: { id: at(answer, 'backupInstance.id') },
      supportedActions: [],
    },
  })
  const policy = encodeNodeId('BackupPolicy', (await addPolicy(api, 'a month')).id)
  const other = encodeNodeId('Vault', (await addVault(api, 'other')).id)
  const named = await api.mutate('configureProtection', { server, vault: other, policy, name: 'mine' }, configured)
  expect(named).toMatchObject({ backupInstance: { name: 'mine', policy: { name: 'a month' } } })
})

test('protection is refused where a part is missing, the pair is protected or the name is taken', async () => {
  const first = await addServer(api, 'first')
  const vault = await addVault(api, 'main')
  await addInstance(api, { name: 'taken', server: first, vault })
  const parts = {
    server: encodeNodeId('PostgresServer', (await addServer(api, 'second')).id),
    vault: encodeNodeId('Vault', vault.id),
  }
  const configure = (changes: Record<string, unknown>) =>
    api.mutate('configureProtection', { ...parts, ...changes }, configured)
  expect(await configure({ server: encodeNodeId('PostgresServer', first.id) })).toMatchObject({
    __typename: 'AlreadyProtected',
    backupInstance: { name: 'taken' },
  })
  expect(await configure({ name: 'taken' })).toMatchObject({ __typename: 'NameTaken', takenName: 'taken' })
  expect(await configure({ name: '' })).toMatchObject({ __typename: 'InvalidInput', field: 'name' })
  expect(await configure({ server: encodeNodeId('PostgresServer', unknown) })).toMatchObject({ kind: 'server' })
  expect(await configure({ vault: encodeNodeId('Vault', unknown) })).toMatchObject({ kind: 'vault' })
  expect(await configure({ policy: encodeNodeId('BackupPolicy', unknown) })).toMatchObject({ kind: 'policy' })
  expect(await configure({ server: parts.vault })).toMatchObject({ __typename: 'NotFound', kind: 'server' })
})

test('a failed configuration is tried again; any other state refuses that and says what it allows', async () => {
  const failed = await addInstance(api, { name: 'failed', state: 'CONFIGURING_PROTECTION_FAILED' })
  const fine = await addInstance(api, { name: 'fine', state: 'PROTECTION_CONFIGURED' })
  const retry = (id: string) =>
    api.mutate(
      'retryConfigureProtection',
      { backupInstance: encodeNodeId('BackupInstance', id) },
      `... on RetryConfigureProtectionPayload { backupInstance { state } job { operation } }
       ... on OperationNotAllowed { currentState allowedOperations } ... on NotFound { kind }`,
    )
  expect(await retry(failed.id)).toMatchObject({
    backupInstance: { state: 'CONFIGURING_PROTECTION' },
    job: { operation: 'CONFIGURE_PROTECTION' },
  })
  expect(await retry(fine.id)).toMatchObject({
    __typename: 'OperationNotAllowed',
    currentState: 'PROTECTION_CONFIGURED',
    allowedOperations: allowedOperations('PROTECTION_CONFIGURED'),
  })
  expect(await retry(unknown)).toMatchObject({ kind: 'backup instance' })
})

test('a backup on demand is one job; a second one is refused and names it', async () => {
  const instance = await addInstance(api)
  const id = encodeNodeId('BackupInstance', instance.id)
  const backUp = (backupInstance: string) =>
    api.mutate(
      'backUpNow',
      { backupInstance },
      `... on BackUpNowPayload { job { id operation category status trigger isUserTriggered createdBy policyName backupInstanceName supportedActions } }
       ... on BackupAlreadyRunning { runningJob { id } } ... on OperationNotAllowed { currentState } ... on NotFound { kind }`,
    )
  const [one, two] = await Promise.all([backUp(id), backUp(id)])
  const [started, refused] = one.__typename === 'BackUpNowPayload' ? [one, two] : [two, one]
  expect(started).toMatchObject({
    job: {
      operation: 'BACKUP',
      category: 'BACKUP',
      status: 'QUEUED',
      trigger: 'USER',
      isUserTriggered: true,
      createdBy: 'local',
      policyName: 'On demand, 30 days',
      backupInstanceName: 'db in main',
      supportedActions: ['CANCEL'],
    },
  })
  expect(refused).toMatchObject({ __typename: 'BackupAlreadyRunning', runningJob: { id: at(started, 'job.id') } })
  const stopped = await addInstance(api, { name: 'stopped', state: 'PROTECTION_STOPPED' })
  expect(await backUp(encodeNodeId('BackupInstance', stopped.id))).toMatchObject({ currentState: 'PROTECTION_STOPPED' })
  expect(await backUp(encodeNodeId('BackupInstance', unknown))).toMatchObject({ kind: 'backup instance' })
})

test('one request that does two things shows each as it was left', async () => {
  const instance = await addInstance(api, { state: 'CONFIGURING_PROTECTION_FAILED' })
  const { data } = await api.ask(
    `mutation ($id: ID!) {
      before: backUpNow(input: { backupInstance: $id }) { ... on OperationNotAllowed { currentState } }
      one: retryConfigureProtection(input: { backupInstance: $id }) { ... on RetryConfigureProtectionPayload { job { backupInstance { state jobs { totalCount } } } } }
      two: retryConfigureProtection(input: { backupInstance: $id }) { ... on OperationNotAllowed { currentState } }
    }`,
    { id: encodeNodeId('BackupInstance', instance.id) },
  )
  expect(data).toEqual({
    before: { currentState: 'CONFIGURING_PROTECTION_FAILED' },
    one: { job: { backupInstance: { state: 'CONFIGURING_PROTECTION', jobs: { totalCount: 1 } } } },
    two: { currentState: 'CONFIGURING_PROTECTION' },
  })
})

test('a verification is one job a point', async () => {
  const point = await addPoint(api, await addInstance(api))
  const recoveryPoint = encodeNodeId('RecoveryPoint', point.id)
  const verify = (id: string) =>
    api.mutate(
      'verifyRecoveryPoint',
      { recoveryPoint: id },
      `... on VerifyRecoveryPointPayload { job { id operation sourceRecoveryPoint { id } targetRecoveryPoint { id } recoveryDestination { directory } } }
       ... on VerificationAlreadyRunning { runningJob { id } } ... on NotFound { kind }`,
    )
  const started = await verify(recoveryPoint)
  expect(started).toMatchObject({
    job: {
      operation: 'VERIFY',
      sourceRecoveryPoint: { id: recoveryPoint },
      targetRecoveryPoint: null,
      recoveryDestination: null,
    },
  })
  expect(await verify(recoveryPoint)).toMatchObject({ runningJob: { id: at(started, 'job.id') } })
  expect(await verify(encodeNodeId('RecoveryPoint', unknown))).toMatchObject({ kind: 'recovery point' })
})

test('a restore as files is a job with its destination; bad choices are refused', async () => {
  const instance = await addInstance(api)
  const recoveryPoint = encodeNodeId('RecoveryPoint', (await addPoint(api, instance)).id)
  const suspect = await addPoint(api, instance, { state: 'SUSPECT', damage: ['0001.dump.age is cut short.'] })
  const restore = (changes: Record<string, unknown>) =>
    api.mutate(
      'restoreAsFiles',
      { recoveryPoint, target: { directory: '/restored' }, ...changes },
      `... on RestoreAsFilesPayload { job { id operation category sourceRecoveryPoint { id } restoreReport { destination }
         recoveryDestination { directory server { id } ownership databases { name targetName } } } }
       ... on RestoreAlreadyRunning { runningJob { id } } ... on RecoveryPointSuspect { damage }
       ... on InvalidInput { field } ... on NotFound { kind }`,
    )
  const started = await restore({ databases: ['shop'] })
  expect(started).toMatchObject({
    job: {
      operation: 'RESTORE',
      category: 'RESTORE',
      sourceRecoveryPoint: { id: recoveryPoint },
      restoreReport: null,
      recoveryDestination: {
        directory: '/restored',
        server: null,
        ownership: null,
        databases: [{ name: 'shop', targetName: 'shop' }],
      },
    },
  })
  expect(await restore({})).toMatchObject({ runningJob: { id: at(started, 'job.id') } })
  expect(await restore({ target: { directory: 'here' } })).toMatchObject({ field: 'target.directory' })
  expect(await restore({ target: { directory: '/x' }, databases: [] })).toMatchObject({ field: 'databases' })
  expect(await restore({ target: { directory: '/x' }, databases: ['none'] })).toMatchObject({ field: 'databases' })
  expect(await restore({ recoveryPoint: encodeNodeId('RecoveryPoint', suspect.id) })).toMatchObject({
    __typename: 'RecoveryPointSuspect',
    damage: ['0001.dump.age is cut short.'],
  })
  expect(await restore({ recoveryPoint: encodeNodeId('Vault', instance.vaultId) })).toMatchObject({
    kind: 'recovery point',
  })
})

test('a restore into a server is a job with its destination; bad choices are refused', async () => {
  const instance = await addInstance(api)
  const recoveryPoint = encodeNodeId('RecoveryPoint', (await addPoint(api, instance)).id)
  const server = encodeNodeId('PostgresServer', (await addServer(api, 'target')).id)
  const restore = (changes: Record<string, unknown>) =>
    api.mutate(
      'restoreToServer',
      { recoveryPoint, server, databases: [{ name: 'shop', targetName: 'shop again' }], ...changes },
      `... on RestoreToServerPayload { job { id recoveryDestination { directory server { id } ownership databases { name targetName } } } }
       ... on RestoreAlreadyRunning { runningJob { id } } ... on RecoveryPointSuspect { damage }
       ... on InvalidInput { field } ... on NotFound { kind }`,
    )
  const twice = [
    { name: 'shop', targetName: 'same' },
    { name: 'postgres', targetName: 'same' },
  ]
  expect(await restore({ databases: twice })).toMatchObject({ field: 'databases' })
  expect(await restore({ server: encodeNodeId('PostgresServer', unknown) })).toMatchObject({ kind: 'server' })
  const ownName = { databases: [{ name: 'shop' }, { name: 'postgres', targetName: 'shop' }] }
  expect(await restore(ownName)).toMatchObject({ field: 'databases' })
  const started = await restore({ ownership: 'NONE' })
  expect(started).toMatchObject({
    job: {
      recoveryDestination: {
        directory: null,
        server: { id: server },
        ownership: 'NONE',
        databases: [{ name: 'shop', targetName: 'shop again' }],
      },
    },
  })
  expect(await restore({})).toMatchObject({ runningJob: { id: textAt(started, 'job.id') } })
})
