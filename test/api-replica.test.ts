import { isNull } from 'drizzle-orm'
import { test as base, expect } from 'vitest'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance, addPoint, addVault } from './kit/catalogue.ts'
import { nameReplica } from './kit/replica.ts'

const test = base.extend('api', async ({ task: _ }, { onCleanup }) => {
  const api = await startApi()
  onCleanup(() => api[Symbol.asyncDispose]())
  return api
})

/** An instance with two points in a vault that names a replica, the older of which has its copy there. */
async function replicated(api: Api) {
  const { database, clock } = api
  const [vault, replica] = [await addVault(api), await addVault(api, 'elsewhere')]
  const instance = await addInstance(api, { vault })
  const older = await addPoint(api, instance, { createdAt: new Date(clock.now.getTime() - 7_200_000) })
  const newer = await addPoint(api, instance)
  await nameReplica(database, { vaultId: vault.id, replicaId: replica.id, retention: 'P90D', now: clock.now })
  const copy = await addPoint(api, instance, {
    vaultId: replica.id,
    copyOfId: older.id,
    createdAt: older.createdAt,
    copiedAt: clock.now,
    storedBytes: 900_000_000,
  })
  const idOf = ({ id }: { id: string }) => encodeNodeId('RecoveryPoint', id)
  return {
    vaultId: encodeNodeId('Vault', vault.id),
    replicaId: encodeNodeId('Vault', replica.id),
    instanceId: encodeNodeId('BackupInstance', instance.id),
    older: idOf(older),
    newer: idOf(newer),
    copy: idOf(copy),
  }
}

const set = `mutation ($input: SetVaultReplicaInput!) { setVaultReplica(input: $input) {
  ... on SetVaultReplicaPayload { vault { replica { vault { name } retention } } copiesToMake { count storedBytes } }
  ... on Refusal { __typename message recommendedActions } ... on InvalidInput { field }
  ... on ReplicaChain { vault { name } } } }`

test('a replica is named, rehearsed before, and taken away again', async ({ api }) => {
  const [vault, replica] = [await addVault(api), await addVault(api, 'elsewhere')]
  await addPoint(api, await addInstance(api, { vault }))
  const ids = { vault: encodeNodeId('Vault', vault.id), replicaVault: encodeNodeId('Vault', replica.id) }
  const ask = async (input: object) => at((await api.ask(set, { input })).data, 'setVaultReplica')
  const named = {
    vault: { replica: { vault: { name: 'elsewhere' }, retention: 'P90D' } },
    copiesToMake: { count: 1, storedBytes: 1_000_000_000 },
  }
  expect(await ask({ ...ids, retention: 'P90D', dryRun: true })).toEqual(named)
  expect((await api.database.select().from(vaults)).map(({ replicaId }) => replicaId)).toEqual([null, null])
  expect(await ask({ ...ids, retention: 'P90D' })).toEqual(named)
  expect(await ask({ vault: ids.replicaVault, replicaVault: ids.vault })).toMatchObject({
    __typename: 'ReplicaChain',
    vault: { name: 'main' },
  })
  expect(await ask({ vault: ids.vault, retention: 'P1D' })).toMatchObject({ field: 'retention' })
  expect(await ask({ vault: ids.vault, replicaVault: null })).toEqual({
    vault: { replica: null },
    copiesToMake: { count: 0, storedBytes: 0 },
  })
})

test('a vault says how far its copies have come, and whose replica it is', async ({ api }) => {
  const { vaultId, replicaId } = await replicated(api)
  const query = `query ($id: ID!) { vault(id: $id) { storedBytes recoveryPointCount replicaOf { id }
    replica { vault { id } retention pendingCopies newestCopiedAt isBehind } } }`
  expect(at((await api.ask(query, { id: vaultId })).data, 'vault')).toEqual({
    storedBytes: 2_000_000_000,
    recoveryPointCount: 2,
    replicaOf: [],
    replica: {
      vault: { id: replicaId },
      retention: 'P90D',
      pendingCopies: 1,
      newestCopiedAt: api.clock.now.toISOString(),
      isBehind: false,
    },
  })
  expect(at((await api.ask(query, { id: replicaId })).data, 'vault')).toMatchObject({
    storedBytes: 900_000_000,
    recoveryPointCount: 1,
    replicaOf: [{ id: vaultId }],
    replica: null,
  })
  api.clock.now = new Date(api.clock.now.getTime() + 3_600_001)
  expect(at((await api.ask(query, { id: vaultId })).data, 'vault')).toMatchObject({ replica: { isBehind: true } })
})

test('lists show each moment once, and copies to whoever asks for them', async ({ api }) => {
  const { vaultId, replicaId, instanceId, older, newer, copy } = await replicated(api)
  const idsBy = async (filter: string) => {
    const { data } = await api.ask(
      `query ($id: ID!) { backupInstance(id: $id) { recoveryPoints${filter && `(filter: ${filter})`} { totalCount nodes { id } } }
        recoveryPoints${filter && `(filter: ${filter})`} { totalCount nodes { id } } }`,
      { id: instanceId },
    )
    const [own, all] = [listAt(data, 'backupInstance.recoveryPoints.nodes'), listAt(data, 'recoveryPoints.nodes')]
    expect(all).toEqual(own)
    expect(at(data, 'backupInstance.recoveryPoints.totalCount')).toBe(own.length)
    expect(at(data, 'recoveryPoints.totalCount')).toBe(own.length)
    return new Set(own.map(({ id }) => id))
  }
  expect(await idsBy('')).toEqual(new Set([newer, older]))
  expect(await idsBy('{ isCopy: false }')).toEqual(new Set([newer, older]))
  expect(await idsBy('{ isCopy: true }')).toEqual(new Set([copy]))
  expect(await idsBy('{ isCopy: null }')).toEqual(new Set([newer, older, copy]))
  expect(await idsBy(`{ vault: "${replicaId}" }`)).toEqual(new Set([copy]))
  expect(await idsBy(`{ vault: "${vaultId}", isCopy: true }`)).toEqual(new Set())
  const { data } = await api.ask(
    `query ($id: ID!, $copy: ID!) { recoveryPoint(id: $id) { isCopy copyOf { id } copiedAt copies { id vault { name } } }
      copy: recoveryPoint(id: $copy) { isCopy copyOf { id } copiedAt copies { id } backupInstance { id storedBytes copiedBytes } } }`,
    { id: older, copy },
  )
  expect(data).toEqual({
    recoveryPoint: {
      isCopy: false,
      copyOf: null,
      copiedAt: null,
      copies: [{ id: copy, vault: { name: 'elsewhere' } }],
    },
    copy: {
      isCopy: true,
      copyOf: { id: older },
      copiedAt: api.clock.now.toISOString(),
      copies: [],
      backupInstance: { id: instanceId, storedBytes: 2_000_000_000, copiedBytes: 900_000_000 },
    },
  })
})

test('a copy whose original is gone says so', async ({ api }) => {
  const { copy } = await replicated(api)
  await api.database.delete(recoveryPoints).where(isNull(recoveryPoints.copyOfId))
  const { data } = await api.ask('query ($id: ID!) { recoveryPoint(id: $id) { isCopy copyOf { id } } }', { id: copy })
  expect(data).toEqual({ recoveryPoint: { isCopy: true, copyOf: null } })
})

test('copies and replicas of any number of points and vaults cost the same number of statements', async ({ api }) => {
  for (let index = 0; index < 8; index++) {
    const [vault, replica] = [await addVault(api, `own ${index}`), await addVault(api, `elsewhere ${index}`)]
    await nameReplica(api.database, { vaultId: vault.id, replicaId: replica.id, now: api.clock.now })
    const instance = await addInstance(api, { name: `of ${index}`, vault })
    const point = await addPoint(api, instance)
    await addPoint(api, instance, { vaultId: replica.id, copyOfId: point.id, copiedAt: api.clock.now })
    await addPoint(api, instance)
  }
  const cost = async (size: number) => {
    const query = `{ recoveryPoints(first: ${size}) { nodes { copies { id copyOf { id } vault { name } } } }
      vaults(first: ${size}) { nodes { replicaOf { name } replica { vault { name } pendingCopies newestCopiedAt isBehind } } }
      backupInstances(first: ${size}) { nodes { copiedBytes recoveryPoints(first: 3, filter: { isCopy: true }) { totalCount nodes { id } } } } }`
    await api.ask(query)
    api.statements.length = 0
    expect((await api.ask(query)).errors).toBeUndefined()
    return api.statements.length
  }
  const few = await cost(2)
  expect(Math.abs((await cost(8)) - few)).toBeLessThanOrEqual(3)
  expect(few).toBeLessThanOrEqual(16)
})
