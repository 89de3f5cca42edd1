import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { addWebhook, deliveriesThat, startHook } from './kit/channels.ts'
import { addLife } from './kit/lifecycle.ts'
import { type ServiceProcess, startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

test('where no worker is there the API says so, tells what is overdue and delivers it', { timeout: 120_000 }, async ({
  database,
  databaseUrl,
  folder,
}) => {
  const keyFile = `${folder}/secret.key`
  const secrets = await openSecretBox(keyFile)
  const { id } = await addLife(database, { points: [] })
  await database
    .update(backupInstances)
    .set({ overdueAt: new Date('2026-03-01T12:00:00.000Z') })
    .where(eq(backupInstances.id, id))
  await database.update(vaults).set({ sealedIdentity: secrets.seal('a key') })
  await using hook = await startHook()
  await addWebhook(database, { url: hook.url, secrets })
  await addWebhook(database, { target: { kind: 'MAIL', to: ['ops@example.com'] } })
  const look = async (at: string, path: string) => {
    const response = await fetch(new URL(path, at))
    return `${response.status} ${await response.text()}`
  }

  await using api = await startServiceProcess({
    databaseUrl,
    folder,
    keyFile,
    environment: { HOLDFAST_ROLE: 'api', HOLDFAST_PORT: '0' },
  })
  const port = await addressOf(api)
  expect(await look(port, '/healthz/worker')).toBe('503 No worker has been seen ever.\n')
  expect(await look(port, '/metrics')).toContain('holdfast_instances_overdue 1\n')
  await waitFor('the alarm to be delivered', () => hook.received.length > 0)
  expect(JSON.parse(hook.received[0]?.body ?? '')).toMatchObject({ kind: 'PROTECTION_OVERDUE' })
  // It has no mail server: the mail waits for a worker, and loses no attempt.
  expect(await deliveriesThat(database, 'the deliveries', () => true)).toContainEqual(
    expect.objectContaining({ status: 'PENDING', attempts: 0 }),
  )

  await using worker = await startServiceProcess({
    databaseUrl,
    folder,
    keyFile,
    environment: { HOLDFAST_HEALTH_PORT: '0' },
  })
  await waitFor('a worker to be seen', async () => (await look(port, '/healthz/worker')) === '200 ok\n')
  const healthPort = await addressOf(worker)
  for (const path of ['/healthz', '/readyz', '/healthz/worker']) expect(await look(healthPort, path)).toBe('200 ok\n')
  expect(await look(healthPort, '/metrics')).toContain('holdfast_worker_last_seen_seconds')
  expect(await look(healthPort, '/graphql')).toContain('404 ')
})

/** Where a process says that it listens. */
async function addressOf(service: ServiceProcess): Promise<string> {
  return waitFor('the address', () => /"address":"([^"]+)"/.exec(service.printed())?.[1])
}
