import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { auditRecords } from '../src/database/tables/audit.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { findInstances } from '../src/instance/find.ts'
import type { Vault } from '../src/vault/vault.ts'
import { type Api, startApi } from './kit/api.ts'
import { addInstance, addVault } from './kit/catalogue.ts'

let api: Api
let vault: Vault
beforeEach(async () => {
  api = await startApi()
  vault = await addVault(api, 'main')
})
afterEach(() => api[Symbol.asyncDispose]())

const rules =
  'vault { softDelete { isOn retentionDays } immutability expiryShareLimitPercent freeBytes spaceCheckedAt }'

const update = (input: Record<string, unknown>) =>
  api.mutate(
    'updateVaultSecurity',
    { vault: encodeNodeId('Vault', vault.id), ...input },
    `... on UpdateVaultSecurityPayload { ${rules} changes { field before after } }
     ... on InvalidInput { field } ... on ConfirmationMismatch { field } ... on NotFound { kind } ... on VaultLocked { rule vault { immutability } }`,
  )
const stored = async () => (await api.database.select().from(vaults).where(eq(vaults.id, vault.id)))[0]
const audited = () =>
  api.database
    .select()
    .from(auditRecords)
    .where(eq(auditRecords.action, 'updateVaultSecurity'))
    .orderBy(auditRecords.at)

test('a vault begins with soft delete of 14 days, no immutability and a share limit of 50 percent', async () => {
  expect(await update({})).toMatchObject({
    vault: {
      softDelete: { isOn: true, retentionDays: 14 },
      immutability: 'DISABLED',
      expiryShareLimitPercent: 50,
      freeBytes: null,
      spaceCheckedAt: null,
    },
    changes: [],
  })
  expect(await audited()).toEqual([])
})

test('a vault is created with rules of its own, but not locked', async () => {
  const create = (input: Record<string, unknown>) =>
    api.mutate(
      'createVault',
      { name: 'other', location: { directory: '/other' }, ...input },
      `... on CreateVaultPayload { ${rules} } ... on InvalidInput { field }`,
    )
  expect(await create({ immutability: 'LOCKED' })).toMatchObject({ field: 'immutability' })
  expect(await create({ softDelete: { retentionDays: 181 } })).toMatchObject({ field: 'softDelete.retentionDays' })
  expect(await create({ softDelete: { retentionDays: 0 }, immutability: 'UNLOCKED' })).toMatchObject({
    field: 'softDelete.retentionDays',
  })
  expect(await create({ softDelete: { retentionDays: 30 }, immutability: 'UNLOCKED' })).toMatchObject({
    vault: { softDelete: { retentionDays: 30 }, immutability: 'UNLOCKED' },
  })
})

test('only what is given is changed, with before, after and reason in the audit log', async () => {
  expect(await update({ softDelete: { retentionDays: 0 }, reason: 'a test bench' })).toMatchObject({
    vault: { softDelete: { isOn: false, retentionDays: 0 }, immutability: 'DISABLED', expiryShareLimitPercent: 50 },
    changes: [{ field: 'softDelete.retentionDays', before: '14', after: '0' }],
  })
  api.clock.now = new Date('2026-03-02T00:00:00Z')
  expect(await update({ softDelete: { retentionDays: 7 }, immutability: 'UNLOCKED' })).toMatchObject({
    changes: [{ field: 'softDelete.retentionDays' }, { field: 'immutability', before: 'DISABLED', after: 'UNLOCKED' }],
  })
  expect(await audited()).toMatchObject([
    { actor: 'local', reason: 'a test bench', before: { softDeleteDays: 14 }, after: { softDeleteDays: 0 } },
    { before: { softDeleteDays: 0, immutability: 'DISABLED' }, after: { softDeleteDays: 7, immutability: 'UNLOCKED' } },
  ])
})

test('a dry run answers what would be changed, and changes nothing', async () => {
  const before = await stored()
  expect(await update({ immutability: 'UNLOCKED', expiryShareLimitPercent: 20, dryRun: true })).toMatchObject({
    vault: { immutability: 'UNLOCKED', expiryShareLimitPercent: 20 },
    changes: [
      { field: 'immutability', before: 'DISABLED', after: 'UNLOCKED' },
      { field: 'expiryShareLimitPercent', before: '50', after: '20' },
    ],
  })
  expect(await stored()).toEqual(before)
  expect(await audited()).toEqual([])
})

test('rules out of range, and texts that cannot be kept, are refused by the name of their field', async () => {
  const before = await stored()
  const refused: [Record<string, unknown>, string][] = [
    [{ softDelete: { retentionDays: -1 } }, 'softDelete.retentionDays'],
    [{ softDelete: { retentionDays: 181 } }, 'softDelete.retentionDays'],
    [{ expiryShareLimitPercent: 0 }, 'expiryShareLimitPercent'],
    [{ expiryShareLimitPercent: 101 }, 'expiryShareLimitPercent'],
    [{ softDelete: { retentionDays: 0 }, immutability: 'UNLOCKED' }, 'softDelete.retentionDays'],
    [{ expiryShareLimitPercent: 40, reason: 'x'.repeat(2_001) }, 'reason'],
    [{ expiryShareLimitPercent: 40, reason: 'a\u0007b' }, 'reason'],
    [{ immutability: 'LOCKED', confirmName: 'main' }, 'immutability'],
  ]
  for (const [input, field] of refused) {
    expect(await update(input)).toMatchObject({ __typename: 'InvalidInput', field })
  }
  const missing = encodeNodeId('Vault', '00000000-0000-4000-8000-000000000000')
  expect(await update({ vault: missing })).toMatchObject({ __typename: 'NotFound', kind: 'vault' })
  expect(await update({ vault: encodeNodeId('Job', vault.id) })).toMatchObject({ __typename: 'NotFound' })
  expect(await stored()).toEqual(before)
})

describe('An unlocked vault', () => {
  beforeEach(() => update({ immutability: 'UNLOCKED' }))

  test('keeps soft delete on until its immutability is taken back', async () => {
    expect(await update({ softDelete: { retentionDays: 0 } })).toMatchObject({ field: 'softDelete.retentionDays' })
    expect(await update({ softDelete: { retentionDays: 1 } })).toMatchObject({ vault: { softDelete: { isOn: true } } })
    expect(await update({ softDelete: { retentionDays: 0 }, immutability: 'DISABLED' })).toMatchObject({
      vault: { softDelete: { isOn: false }, immutability: 'DISABLED' },
    })
  })

  test('is locked only by whoever types its name exactly', async () => {
    for (const confirmName of [null, '', 'Main', ' main', 'main ']) {
      expect(await update({ immutability: 'LOCKED', confirmName })).toMatchObject({
        __typename: 'ConfirmationMismatch',
        field: 'confirmName',
      })
    }
    expect((await stored())?.immutability).toBe('UNLOCKED')
    expect(await update({ immutability: 'LOCKED', confirmName: 'main' })).toMatchObject({
      vault: { immutability: 'LOCKED' },
    })
  })
})

describe('A locked vault', () => {
  beforeEach(async () => {
    await update({ immutability: 'UNLOCKED' })
    await update({ immutability: 'LOCKED', confirmName: 'main' })
  })

  test('stays locked, and its rules are never weakened', async () => {
    const before = await stored()
    const refused: [Record<string, unknown>, string][] = [
      [{ immutability: 'UNLOCKED' }, 'IMMUTABILITY_STAYS_LOCKED'],
      [{ immutability: 'DISABLED', softDelete: { retentionDays: 30 } }, 'IMMUTABILITY_STAYS_LOCKED'],
      [{ softDelete: { retentionDays: 13 } }, 'SOFT_DELETE_IS_NOT_SHORTENED'],
      [{ expiryShareLimitPercent: 51 }, 'EXPIRY_SHARE_LIMIT_IS_NOT_RAISED'],
    ]
    for (const [input, rule] of refused) {
      for (const dryRun of [true, false]) {
        expect(await update({ ...input, dryRun })).toMatchObject({
          __typename: 'VaultLocked',
          rule,
          vault: { immutability: 'LOCKED' },
          message: expect.stringContaining('Vault "main" is LOCKED'),
        })
      }
    }
    expect(await update({ softDelete: { retentionDays: 0 } })).toMatchObject({ field: 'softDelete.retentionDays' })
    expect(await stored()).toEqual(before)
  })

  test('takes stronger rules, and its present ones again', async () => {
    expect(await update({ immutability: 'LOCKED', softDelete: { retentionDays: 14 } })).toMatchObject({ changes: [] })
    expect(await update({ softDelete: { retentionDays: 180 }, expiryShareLimitPercent: 10 })).toMatchObject({
      vault: { softDelete: { retentionDays: 180 }, expiryShareLimitPercent: 10 },
    })
  })
})

test('of two operators who take the lock on and the immutability off at once, one meets what the other has done', async () => {
  await update({ immutability: 'UNLOCKED' })
  const [locked, freed] = await Promise.all([
    update({ immutability: 'LOCKED', confirmName: 'main' }),
    update({ immutability: 'DISABLED' }),
  ])
  const isLocked = (await stored())?.immutability === 'LOCKED'
  expect(isLocked ? freed.__typename : locked.__typename).toBe(isLocked ? 'VaultLocked' : 'InvalidInput')
})

test('a changed retention of soft delete is that of later deletions only', async () => {
  const remove = async (name: string) => {
    const { id } = await addInstance(api, { name, vault })
    const backupInstance = encodeNodeId('BackupInstance', id)
    await api.mutate('deleteBackupInstance', { backupInstance, confirmName: name }, '')
    return id
  }
  const purgeOf = async (id: string) => (await findInstances(api.database, [id]))[0]?.scheduledPurgeAt?.toISOString()
  const early = await remove('early')
  expect(await purgeOf(early)).toBe('2026-03-15T12:00:00.000Z')
  await update({ softDelete: { retentionDays: 30 } })
  expect(await purgeOf(early)).toBe('2026-03-15T12:00:00.000Z')
  expect(await purgeOf(await remove('late'))).toBe('2026-03-31T12:00:00.000Z')
})
