import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { notifications } from '../src/database/tables/notification.ts'
import { cancelJob } from '../src/instance/cancel-job.ts'
import { configureProtection, PlaceHeldBySoftDeleted } from '../src/instance/configure-protection.ts'
import { deleteBackupInstance } from '../src/instance/delete-backup-instance.ts'
import { validateForBackup } from '../src/instance/validate-for-backup.ts'
import { findSubTasks } from '../src/job/find.ts'
import { createPolicy } from '../src/policy/create.ts'
import { updateServerAddress } from '../src/server/update-address.ts'
import { actor, addVault, pathOf, register, type Service, startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

const now = () => new Date()

async function validate(service: Service, serverId: string, vaultId: string) {
  const { job } = await validateForBackup(service.database, { serverId, vaultId, policyId: null, actor, now: now() })
  return service.ended(job.id)
}

test('a server and a vault are checked for real, and nothing is made', async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const server = await register(service, source)
  const vault = await addVault(service, folder)
  const job = await validate(service, server.id, vault.id)
  expect(job).toMatchObject({ operation: 'CONFIGURE_PROTECTION', status: 'COMPLETED', instanceId: null })
  expect(job.notes.map(({ name }) => name)).toEqual(expect.arrayContaining(['Vault', 'Server', 'PostgreSQL tools']))
  const parts = (await findSubTasks(service.database, [job.id])).get(job.id) ?? []
  expect(parts.map(({ name, status }) => `${name}: ${status}`)).toEqual([
    'Check the vault: COMPLETED',
    'Inspect the server: COMPLETED',
    'Check the rights to read everything: COMPLETED',
    'Choose the PostgreSQL tools: COMPLETED',
  ])
  await expect(readdir(pathOf(vault))).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await service.database.$count(backupInstances)).toBe(0)

  const chosen = { serverId: server.id, vaultId: vault.id, policyId: null, actor }
  const { job: configuration } = await configureProtection(service.database, { ...chosen, name: null, now: now() })
  expect(await service.ended(configuration.id)).toMatchObject({ status: 'COMPLETED' })
  const other = await register(service, source, { name: 'other', password: 'not the password' })
  const before = await readdir(pathOf(vault))
  const refused = await validate(service, other.id, vault.id)
  expect(refused).toMatchObject({ status: 'FAILED', error: { code: 'AUTHENTICATION_FAILED' } })
  expect(await readdir(pathOf(vault))).toEqual(before)
  expect(await service.database.$count(notifications)).toBe(0)
})

test('a place that holds other things cannot be the vault', async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const server = await register(service, source)
  const vault = await addVault(service, folder)
  await mkdir(pathOf(vault), { recursive: true })
  await writeFile(join(pathOf(vault), 'photo.jpg'), 'not ours')
  expect(await validate(service, server.id, vault.id)).toMatchObject({
    status: 'FAILED',
    error: { code: 'VAULT_OCCUPIED' },
  })
  expect(await readdir(pathOf(vault))).toEqual(['photo.jpg'])
  expect(await service.database.$count(backupInstances)).toBe(0)
})

test('a protected server that was moved is checked where it is now, and its backup instance stays as it is', async ({
  databaseUrl,
  folder,
  source,
}) => {
  await using service = await startService({ databaseUrl, folder })
  const { database, secrets } = service
  const server = await register(service, source)
  const vault = await addVault(service, folder)
  const policy = await createPolicy(database, { name: 'weekly', defaultRetention: 'P7D', actor, now: now() })
  const chosen = { serverId: server.id, vaultId: vault.id, policyId: policy.id, name: null, actor, now: now() }
  const { instance, job: configuration } = await configureProtection(database, chosen)
  expect(await service.ended(configuration.id)).toMatchObject({ status: 'COMPLETED' })
  const [before] = await database.select().from(backupInstances)
  const move = (port: number) => {
    const there = { serverId: server.id, host: source.host, port, password: source.password }
    return updateServerAddress(database, { ...there, secrets, dryRun: false, actor, now: now() })
  }
  await move(1)
  expect(await validate(service, server.id, vault.id)).toMatchObject({
    status: 'FAILED',
    error: { code: 'SERVER_UNREACHABLE' },
    policyName: 'weekly',
    instanceId: null,
  })
  await move(source.port)
  expect(await validate(service, server.id, vault.id)).toMatchObject({ status: 'COMPLETED' })
  expect(await database.select().from(backupInstances)).toEqual([before])

  const deletion = {
    instanceId: instance.id,
    confirmName: instance.name,
    reason: 'TESTING',
    comment: null,
    dryRun: false,
  } as const
  await deleteBackupInstance(database, { ...deletion, actor, now: now() })
  await expect(validate(service, server.id, vault.id)).rejects.toBeInstanceOf(PlaceHeldBySoftDeleted)
})

test('a validation can be cancelled, for nothing waits for its answer', async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const server = await register(service, source)
  const vault = await addVault(service, folder)
  const chosen = { serverId: server.id, vaultId: vault.id, policyId: null, actor, now: now() }
  // In one transaction, so that no worker takes it up before.
  const job = await service.database.transaction(async (tx) => {
    const { job: asked } = await validateForBackup(tx, chosen)
    return cancelJob(tx, { jobId: asked.id, actor, now: now() })
  })
  expect(job.status).toBe('CANCELLED')
})
