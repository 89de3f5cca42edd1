import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { notifications } from '../src/database/tables/notification.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { recordSpace } from '../src/vault/record-space.ts'
import { checkSpaceChore } from '../src/worker/clock/check-space.ts'
import type { WorkerContext } from '../src/worker/context.ts'
import { type Api, startApi } from './kit/api.ts'
import { addInstance, addPoint, addVault } from './kit/catalogue.ts'
import { rememberingLog } from './kit/runner.ts'

const hourMs = 3_600_000

async function told({ database }: Api) {
  return database.select().from(notifications).orderBy(notifications.sequence)
}

test('a vault with less space than two more backups take is told of once a day', async () => {
  await using api = await startApi()
  const vault = await addVault(api)
  const instance = await addInstance(api, { vault })
  const other = await addInstance(api, { vault, name: 'other' })
  await addPoint(api, instance, { storedBytes: 3_000_000_000 })
  // Only the latest point of each counts.
  await addPoint(api, instance, { storedBytes: 9_000_000_000, createdAt: new Date(api.clock.now.getTime() - hourMs) })
  await addPoint(api, other, { storedBytes: 500_000_000 })
  await addPoint(api, await addInstance(api, { name: 'in another vault' }))
  const record = (freeBytes: number | null, now = api.clock.now) =>
    recordSpace(api.database, { vaultId: vault.id, freeBytes, now })
  await record(7_000_000_000)
  await record(null)
  expect(await told(api)).toEqual([])
  await record(6_999_999_999)
  await record(1_500)
  expect(await told(api)).toMatchObject([
    {
      kind: 'VAULT_NEARLY_FULL',
      severity: 'WARNING',
      message: 'Vault "main" has 7 GB left; two more backups of all its instances take about 7 GB.',
      vaultId: vault.id,
      subjectName: 'main',
    },
  ])
  const [row] = await api.database.select().from(vaults).where(eq(vaults.id, vault.id))
  expect(row).toMatchObject({ freeBytes: 1_500, spaceCheckedAt: api.clock.now })
  await record(1_500, new Date(api.clock.now.getTime() + 24 * hourMs))
  expect((await told(api)).map(({ message }) => message)).toEqual([
    expect.any(String),
    'Vault "main" has 1.5 kB left; two more backups of all its instances take about 7 GB.',
  ])
})

test('every vault is looked at once an hour, and one that cannot be asked is left as it was', async () => {
  await using api = await startApi()
  const { database, clock } = api
  const path = join(api.folder, 'vault')
  await mkdir(path)
  const vault = await addVault(api)
  await database.update(vaults).set({ location: { kind: 'DIRECTORY', path } })
  const missing = await addVault(api, 'missing')
  const log = rememberingLog()
  // All that the chore asks for.
  const context = { database, log } as Pick<WorkerContext, 'database' | 'log'> as WorkerContext
  await checkSpaceChore.run(context, clock.now)
  const rows = async () => new Map((await database.select().from(vaults)).map((row) => [row.id, row]))
  const first = await rows()
  expect(first.get(vault.id)).toMatchObject({ freeBytes: expect.any(Number), spaceCheckedAt: clock.now })
  expect(first.get(missing.id)).toMatchObject({ freeBytes: null, spaceCheckedAt: null })
  expect(log.said.join('')).toContain('could not be asked for its space')
  await checkSpaceChore.run(context, new Date(clock.now.getTime() + hourMs - 1))
  expect((await rows()).get(vault.id)?.spaceCheckedAt).toEqual(clock.now)
  const later = new Date(clock.now.getTime() + hourMs + 1)
  await checkSpaceChore.run(context, later)
  expect((await rows()).get(vault.id)?.spaceCheckedAt).toEqual(later)
})
