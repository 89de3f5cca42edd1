import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { recoveryPointContents } from '../src/database/tables/recovery-point-contents.ts'
import { postgresServers } from '../src/database/tables/server.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { configureProtection } from '../src/instance/configure-protection.ts'
import { resumeProtection } from '../src/instance/resume-protection.ts'
import { retryConfigureProtection } from '../src/instance/retry-configure-protection.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { ServerWithoutCredentials } from '../src/server/server.ts'
import { updateServerCredentials } from '../src/server/update-credentials.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { importVault } from '../src/vault/import/import-vault.ts'
import { importReportOf } from '../src/vault/import/request.ts'
import { freshDatabase } from './kit/fresh-database.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, addVault, protect, register, runSql, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const asked = () => ({ actor, now: new Date() })

test('when all is lost but the vault and its recovery key, it is imported, restored from, and backed up into again', {
  timeout: 120_000,
}, async ({ folder }) => {
  await using source = await sourceServer()
  await runSql(
    source,
    'postgres',
    'create database shop',
    'create role "Owner of shop" nologin',
    'alter database shop owner to "Owner of shop"',
  )
  await runSql(source, 'shop', 'create table orders as select n from generate_series(1, 1234) n')

  const { vaultPath, recoveryKey, instance } = await (async () => {
    await using database = await freshDatabase()
    await using service = await startService({ databaseUrl: database.url, folder })
    const made = await protect(service, source, folder)
    const job = await backUpNow(service.database, { instanceId: made.instance.id, ...asked() })
    expect((await service.ended(job.id)).error).toBeNull()
    const how = { vaultId: made.vault.id, secrets: service.secrets, ...asked() }
    return { ...made, ...(await exportRecoveryKey(service.database, how)) }
  })()
  // The metadata database is gone with its service, and so is the key file.
  await rm(join(folder, 'secret.key'))

  await using anew = await freshDatabase()
  await using service = await startService({ databaseUrl: anew.url, folder })
  const { database, secrets } = service
  const location = { kind: 'DIRECTORY' as const, path: vaultPath }
  const given = { name: 'Main', location, recoveryKey, readBack: true, dryRun: false, secrets, ...asked() }
  const report = importReportOf(await service.ended((await importVault(database, given)).id))
  expect(report).toMatchObject({ pointsImported: 1, pointsReadBack: 1, unreadableCount: 0, instances: [instance.name] })
  const [point] = await findRecoveryPointsOf(database, instance.id)
  const recoveryPointId = point?.id ?? ''
  expect(await database.select().from(recoveryPointContents)).toMatchObject([{ recoveryPointId }])
  const [server] = await database.select().from(postgresServers)
  const serverId = server?.id ?? ''
  expect(server).toMatchObject({ host: source.host, port: source.port, tlsMode: 'DISABLE', username: null })

  const target = { kind: 'DIRECTORY' as const, path: join(folder, 'files') }
  const files = await restoreAsFiles(database, {
    recoveryPointId,
    target: { kind: 'DIRECTORY', path: target.path },
    databases: null,
    ...asked(),
  })
  expect((await service.ended(files.id)).error).toBeNull()
  expect(await readdir(target.path)).toEqual(expect.arrayContaining(['globals.sql', 'manifest.json']))
  await using other = await sourceServer()
  const registered = await register(service, other)
  const into = { recoveryPointId, serverId: registered.id, databases: [{ name: 'shop', targetName: 'shop' }] }
  const restore = await restoreToServer(database, { ...into, ownership: { kind: 'KEEP' }, ...asked() })
  expect((await service.ended(restore.id)).error).toBeNull()
  await runSql(other, 'shop', 'select 1 / (count(*) = 1234)::int from orders')

  const needsCredentials: (() => Promise<unknown>)[] = [
    () => resumeProtection(database, { instanceId: instance.id, dryRun: true, ...asked() }),
    () => restoreToServer(database, { ...into, serverId, ownership: { kind: 'KEEP' }, ...asked() }),
    async () => {
      const vaultId = (await addVault(service, join(folder, 'second'))).id
      return configureProtection(database, { serverId, vaultId, policyId: null, name: null, ...asked() })
    },
    async () => {
      await database.update(backupInstances).set({ state: 'PROTECTION_CONFIGURED' })
      return backUpNow(database, { instanceId: instance.id, ...asked() })
    },
    async () => {
      await database.update(backupInstances).set({ state: 'CONFIGURING_PROTECTION_FAILED' })
      return retryConfigureProtection(database, { instanceId: instance.id, dryRun: true, ...asked() })
    },
  ]
  for (const attempt of needsCredentials) await expect(attempt()).rejects.toBeInstanceOf(ServerWithoutCredentials)
  await database.update(backupInstances).set({ state: 'PROTECTION_STOPPED' })

  const { superuser: username, password } = source
  await updateServerCredentials(database, { serverId, username, password, secrets, ...asked() })
  await resumeProtection(database, { instanceId: instance.id, dryRun: false, ...asked() })
  const next = await backUpNow(database, { instanceId: instance.id, ...asked() })
  expect((await service.ended(next.id)).error).toBeNull()
  const points = await findRecoveryPointsOf(database, instance.id)
  expect(points.map(({ proof, jobId }) => ({ proof, jobId }))).toEqual([
    { proof: 'READ_BACK', jobId: next.id },
    { proof: 'READ_BACK', jobId: null },
  ])
})
