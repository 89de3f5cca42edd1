import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { vaults } from '../src/database/tables/vault.ts'
import { choosePort } from '../src/demo/processes/holdfast.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { addWebhook, startHook } from './kit/channels.ts'
import { addLife } from './kit/lifecycle.ts'
import { startServiceProcess } from './kit/service-process.ts'
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
  const [port, healthPort] = await Promise.all([1, 2].map(() => choosePort(0, { mayMove: true })))
  await using hook = await startHook()
  await addWebhook(database, { url: hook.url, secrets })
  const look = async (at: number | undefined, path: string) => {
    const response = await fetch(`http://127.0.0.1:${at}${path}`)
    return `${response.status} ${await response.text()}`
  }

  await using _api = await startServiceProcess({
    databaseUrl,
    folder,
    keyFile,
    environment: { HOLDFAST_ROLE: 'api', HOLDFAST_PORT: String(port) },
  })
  expect(await look(port, '/healthz/worker')).toBe('503 No worker has been seen ever.\n')
  expect(await look(port, '/metrics')).toContain('holdfast_instances_overdue 1\n')
  await waitFor('the alarm to be delivered', () => hook.received.length > 0)
  expect(JSON.parse(hook.received[0]?.body ?? '')).toMatchObject({ kind: 'PROTECTION_OVERDUE' })

  await using _worker = await startServiceProcess({
    databaseUrl,
    folder,
    keyFile,
    environment: { HOLDFAST_HEALTH_PORT: String(healthPort) },
  })
  await waitFor('a worker to be seen', async () => (await look(port, '/healthz/worker')) === '200 ok\n')
  for (const path of ['/healthz', '/readyz', '/healthz/worker']) expect(await look(healthPort, path)).toBe('200 ok\n')
  expect(await look(healthPort, '/metrics')).toContain('holdfast_worker_last_seen_seconds')
  expect(await look(healthPort, '/graphql')).toContain('404 ')
})
