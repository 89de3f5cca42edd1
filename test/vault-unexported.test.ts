import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { notifications } from '../src/database/tables/notification.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { tellUnexported } from '../src/vault/tell-unexported.ts'
import { addLife } from './kit/lifecycle.ts'
import { test } from './kit/test.ts'

test('a vault that holds points and whose key nobody has exported is told of once a week, from its second day', async ({
  database,
}) => {
  const { vaultId } = await addLife(database)
  const createdAt = new Date('2026-03-01T12:00:00.000Z')
  const after = (days: number) => new Date(createdAt.getTime() + days * 86_400_000)
  const isVault = eq(vaults.id, vaultId)
  await database.update(vaults).set({ createdAt, recipientSince: null, recoveryKeyExportedAt: null }).where(isVault)
  const told = async (days: number) => {
    await tellUnexported(database, after(days))
    return database.$count(notifications, eq(notifications.kind, 'RECOVERY_KEY_NOT_EXPORTED'))
  }
  expect([await told(0.9), await told(1), await told(6.9), await told(7), await told(13), await told(14)]).toEqual([
    0, 1, 1, 2, 2, 3,
  ])
  expect(await database.select().from(notifications)).toMatchObject([
    { severity: 'WARNING', vaultId, message: expect.stringContaining('recovery key of vault') },
    {},
    {},
  ])
  await database
    .update(vaults)
    .set({ recoveryKeyExportedAt: after(15) })
    .where(isVault)
  expect(await told(30)).toBe(3)
})

test('a vault that holds nothing is not told of', async ({ database }) => {
  await addLife(database, { points: [] })
  await tellUnexported(database, new Date('2036-03-01T12:00:00.000Z'))
  expect(await database.select().from(notifications)).toEqual([])
})
