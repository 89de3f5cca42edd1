import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { BackupAlreadyRunning, backUpNow } from '../src/instance/back-up-now.ts'
import { configureProtection } from '../src/instance/configure-protection.ts'
import { findInstances } from '../src/instance/find.ts'
import { retryConfigureProtection } from '../src/instance/retry-configure-protection.ts'
import type { JobRow } from '../src/job/states.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, addVault, protect, register, runSql, type Service, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const now = () => new Date()

async function configure(service: Service, folder: string, serverId: string): Promise<JobRow> {
  const vault = await addVault(service, folder)
  const { job } = await configureProtection(service.database, {
    serverId,
    vaultId: vault.id,
    policyId: null,
    name: null,
    actor,
    now: now(),
  })
  return service.ended(job.id)
}

describe('configuring protection', () => {
  test('checks the server and the vault for real, and marks the vault', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const { instance, vaultPath } = await protect(service, source, folder)
    const [configured] = await findInstances(service.database, [instance.id])
    expect(configured?.state).toBe('PROTECTION_CONFIGURED')
    expect(await readdir(vaultPath)).toEqual(expect.arrayContaining(['RESTORE.md', 'holdfast-vault.json']))
  })

  test('says what to do about a wrong password, and succeeds when it is set right', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const server = await register(service, source, { password: 'not the password' })
    const failed = await configure(service, folder, server.id)
    expect(failed).toMatchObject({
      status: 'FAILED',
      error: { code: 'AUTHENTICATION_FAILED', isUserError: true, isRetryable: false },
    })
    const [instance] = await findInstances(service.database, [failed.instanceId ?? ''])
    expect(instance?.state).toBe('CONFIGURING_PROTECTION_FAILED')

    const { updateServerCredentials } = await import('../src/server/update-credentials.ts')
    const { superuser: username, password } = source
    const credentials = { serverId: server.id, username, password, secrets: service.secrets }
    await updateServerCredentials(service.database, { ...credentials, actor, now: now() })
    const { job } = await retryConfigureProtection(service.database, {
      instanceId: failed.instanceId ?? '',
      actor,
      now: now(),
    })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
  })

  test('tells a closed port from an unknown host', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    const closed = await register(service, source, { port: 1 })
    expect((await configure(service, folder, closed.id)).error).toMatchObject({ code: 'SERVER_UNREACHABLE' })
    const unknown = await register(service, source, { host: 'no-such-host.invalid' })
    expect((await configure(service, join(folder, '..', 'x'), unknown.id)).error?.code).toMatch(
      /HOST_UNKNOWN|STORAGE_UNREACHABLE/,
    )
  })

  test('refuses a role that cannot read everything, and names the cure', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await runSql(
      source,
      'postgres',
      'create table hidden (id int)',
      "create role reader login password 'reader'",
      'create table shown (id int)',
      'grant select on shown to reader',
    )
    await using service = await startService({ databaseUrl, folder })
    const server = await register(service, source, { username: 'reader', password: 'reader' })
    const failed = await configure(service, folder, server.id)
    expect(failed.error?.code).toBe('PERMISSION_DENIED')
    expect(failed.error?.details).toContain('hidden')
    expect(failed.error?.details).toMatch(/GRANT/i)
    expect(failed.error?.details).not.toContain('shown')
  })

  test('refuses a server that is too new for the installed tools', async ({ databaseUrl, folder }) => {
    await using newer = await sourceServer({ major: 18 })
    await using service = await startService({ databaseUrl, folder })
    const server = await register(service, newer)
    const failed = await configure(service, folder, server.id)
    expect(failed.error).toMatchObject({ code: 'SERVER_TOO_NEW', isUserError: true })
  })
})

describe('backing up', () => {
  test('makes one recovery point that was read back, and says which tools it chose', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    await runSql(source, 'postgres', 'create database shop')
    await runSql(source, 'shop', 'create table orders as select i, md5(i::text) from generate_series(1, 5000) i')
    const { instance, vault } = await protect(service, source, folder)
    const job = await backUpNow(service.database, { instanceId: instance.id, actor, now: now() })
    const ended = await service.ended(job.id)
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null, attempt: 1 })
    expect(ended.notes.map(({ name }) => name)).toContain('PostgreSQL tools')
    expect(ended.bytesDone).toBe(ended.bytesTotal)

    const points = await findRecoveryPointsOf(service.database, instance.id)
    expect(points).toHaveLength(1)
    expect(points[0]).toMatchObject({ proof: 'READ_BACK', state: 'AVAILABLE', tag: 'DEFAULT', vaultId: vault.id })
    const thirtyDays = 30 * 24 * 60 * 60 * 1000
    expect(Number(points[0]?.expiresAt) - Number(points[0]?.createdAt)).toBe(thirtyDays)
    const shop = points[0]?.databases.find(({ name }) => name === 'shop')
    expect(shop).toMatchObject({ tableCount: 1, rowCount: 5000 })
  })

  test('takes two requests at once as one backup and one refusal that names it', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, source, folder)
    const request = () => backUpNow(service.database, { instanceId: instance.id, actor, now: now() })
    const [first, second] = await Promise.allSettled([request(), request()])
    const started = [first, second].flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const refused = [first, second].flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
    expect(started).toHaveLength(1)
    expect(refused[0]).toBeInstanceOf(BackupAlreadyRunning)
    expect(refused[0]).toMatchObject({ runningJobId: started[0]?.id })
    expect(await service.ended(started[0]?.id ?? '')).toMatchObject({ status: 'COMPLETED' })
  })

  test('is not cut short by timeouts that are set on the role', async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await runSql(
      source,
      'postgres',
      'create table many as select i, repeat(md5(i::text), 20) as text from generate_series(1, 60000) i',
      "create role hasty login superuser password 'hasty'",
      "alter role hasty set statement_timeout = '20ms'",
      "alter role hasty set lock_timeout = '20ms'",
      "alter role hasty set idle_in_transaction_session_timeout = '20ms'",
    )
    await using service = await startService({ databaseUrl, folder })
    const { instance } = await protect(service, { ...source, superuser: 'hasty', password: 'hasty' }, folder)
    const job = await backUpNow(service.database, { instanceId: instance.id, actor, now: now() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED', error: null })
  })
})
