import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { startListener } from '../src/database/listen.ts'
import { startServer } from '../src/graphql/edge/server.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { usualRetentionLimits } from '../src/policy/check-rules.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { freezeDump } from './kit/dump-process.ts'
import { everyRow } from './kit/every-row.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, register, runSql, startService } from './kit/protected-server.ts'
import { quietHealth } from './kit/quiet-health.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const run = promisify(execFile)
const now = () => new Date()

test('no password, key or token is found in logs, arguments, the database, the vault, restored files or answers', {
  timeout: 60_000,
}, async ({ databaseUrl, folder }) => {
  await using source = await sourceServer()
  await runSql(
    source,
    'postgres',
    'create table many as select i, repeat(md5(i::text), 30) as text from generate_series(1, 90000) i',
  )
  await using service = await startService({ databaseUrl, folder })
  const { database } = service
  const wrong = 'W0rng-pass-phrase-9f3a'
  const bad = await register(service, source, { password: wrong })
  const { instance, vault, vaultPath } = await protect(service, source, folder)
  const { recoveryKey } = await exportRecoveryKey(database, {
    vaultId: vault.id,
    secrets: service.secrets,
    actor,
    now: now(),
  })

  const job = await backUpNow(database, { instanceId: instance.id, actor, now: now() })
  const dump = await freezeDump(source.port, 'postgres')
  const { stdout: processes } = await run('ps', ['-eww', '-o', 'args'])
  const { stdout: environments } = await run('ps', ['eww', '-p', String(dump.pid)])
  dump.resume()
  expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED' })

  const [point] = await findRecoveryPointsOf(database, instance.id)
  const files = await restoreAsFiles(database, {
    recoveryPointId: point?.id ?? '',
    target: { kind: 'DIRECTORY', path: join(folder, 'restored') },
    databases: null,
    actor,
    now: now(),
  })
  expect(await service.ended(files.id)).toMatchObject({ status: 'COMPLETED' })
  const refused = await restoreToServer(database, {
    recoveryPointId: point?.id ?? '',
    serverId: bad.id,
    databases: null,
    ownership: { kind: 'KEEP' },
    actor,
    now: now(),
  })
  expect(await service.ended(refused.id)).toMatchObject({ status: 'FAILED', error: { code: 'AUTHENTICATION_FAILED' } })

  const places = {
    processes,
    environments,
    log: service.logged(),
    database: await everyRow(database),
    vault: await everyFile(vaultPath),
    restored: await everyFile(join(folder, 'restored')),
    api: await everyAnswer(databaseUrl, service),
  }
  const keyBytes = await readFile(join(folder, 'secret.key'))
  // In part only: JSON writes its quotation marks otherwise.
  const secrets = [
    source.password.slice(0, 14),
    wrong,
    recoveryKey,
    recoveryKey.slice(16, 40),
    keyBytes.toString('base64'),
  ]
  for (const [place, text] of Object.entries(places)) {
    expect(text.length, `${place} was looked at`).toBeGreaterThan(100)
    for (const secret of secrets) expect(text.includes(secret), `a secret in ${place}`).toBe(false)
  }
})

type Service = Awaited<ReturnType<typeof startService>>

async function everyFile(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const texts = await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')))
  return texts.join('\n')
}

async function everyAnswer(databaseUrl: string, service: Service): Promise<string> {
  const { database, secrets, context } = service
  await using listener = await startListener(databaseUrl, { log: context.log })
  await using server = await startServer({
    services: {
      database,
      listener,
      secrets,
      now,
      removalGraceMs: 0,
      retentionLimits: usualRetentionLimits,
      channelRules: { allowHttp: false, canMail: false },
      metadataBackupMs: 24 * 3_600_000,
    },
    host: '127.0.0.1',
    port: 0,
    apiToken: null,
    log: context.log,
    ...quietHealth,
  })
  const answer = await fetch(`http://127.0.0.1:${server.port}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      query: `{
        servers { nodes { id name host port username passwordSetAt tlsMode } }
        vaults { nodes { id name directory recipient recoveryKeyExportedAt } }
        auditLog { nodes { action actor subjectName changes { field before after } details { name value } } }
        jobs { nodes { status notes { name value } warnings error { code message details recommendedActions }
          events { nodes { type message error { details } } } } }
      }`,
    }),
  })
  const text = await answer.text()
  expect(JSON.parse(text)).not.toHaveProperty('errors')
  return text
}
