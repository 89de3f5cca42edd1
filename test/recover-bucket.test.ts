import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { findVaults } from '../src/vault/find.ts'
import { backUpMetadata } from '../src/vault/metadata/back-up.ts'
import { bucketPrefix, protectInBucket } from './kit/bucket.ts'
import { emptyDatabase } from './kit/fresh-database.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, type Service, startService } from './kit/protected-server.ts'
import { backUp } from './kit/replica.ts'
import { type S3Server, startS3Server } from './kit/s3-server.ts'
import { test } from './kit/test.ts'

const asked = () => ({ actor, now: new Date() })

/** Runs the program on a bucket to its end, into a data directory and an empty metadata database. */
async function recover(
  { store, keyFile, data, databaseUrl }: { store: S3Server; keyFile: string; data: string; databaseUrl: string },
  secret: string,
): Promise<{ code: number | null; said: string }> {
  const { bucket, endpoint, region, accessKeyId } = store.location()
  const place = ['--bucket', bucket, '--prefix', bucketPrefix, '--endpoint', String(endpoint), '--region', region]
  const program = fileURLToPath(new URL('../src/recover/main.ts', import.meta.url))
  const child = spawn(process.execPath, [program, ...place, '--recovery-key-file', keyFile, '--data-dir', data], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: databaseUrl,
      HOLDFAST_RECOVERY_ACCESS_KEY_ID: accessKeyId,
      HOLDFAST_RECOVERY_SECRET_ACCESS_KEY: secret,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = once(child, 'exit')
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  await exit
  return { code: child.exitCode, said: out + errors }
}

async function copyMetadata({ database, ended }: Service, vaultId: string): Promise<void> {
  const job = await ended((await backUpMetadata(database, { vaultId, ...asked() })).id)
  if (job.error) throw new Error(JSON.stringify(job.error))
}

test('a service comes back from a bucket, its recovery key and an access key, and goes on in it', {
  timeout: 180_000,
}, async ({ databaseUrl, folder, source }) => {
  await using store = await startS3Server()
  const { secretAccessKey } = store.location()
  const keyFile = join(folder, 'key.txt')
  const before = await (async () => {
    await using service = await startService({ databaseUrl, folder })
    const { vault, instance } = await protectInBucket(service, store, source)
    const point = await backUp(service, instance.id)
    await copyMetadata(service, vault.id)
    const { recoveryKey } = await exportRecoveryKey(service.database, {
      vaultId: vault.id,
      secrets: service.secrets,
      ...asked(),
    })
    await writeFile(keyFile, recoveryKey)
    return { vault, instance, point }
  })()

  await using empty = await emptyDatabase()
  const data = join(folder, 'new')
  const to = { store, keyFile, data, databaseUrl: empty.url }
  const denied = await recover(to, 'another-secret')
  expect(denied).toMatchObject({ code: 1, said: expect.stringContaining('bucket backups') })
  expect(denied.said).not.toContain('another-secret')
  const { code, said } = await recover(to, secretAccessKey)
  expect(code, said).toBe(0)
  expect(said).toContain('Recovered')
  expect(said).not.toContain(secretAccessKey)

  await using after = await startService({ databaseUrl: empty.url, folder: data })
  const [vault] = await findVaults(after.database, [before.vault.id])
  expect(vault?.location).toMatchObject({ kind: 'S3', bucket: 'backups', prefix: bucketPrefix })
  expect(JSON.stringify(vault)).not.toContain(secretAccessKey)
  expect(await findRecoveryPointsOf(after.database, before.instance.id)).toMatchObject([{ id: before.point.id }])
  const look = await verifyRecoveryPoint(after.database, { recoveryPointId: before.point.id, ...asked() })
  expect(await after.ended(look.id, { withinMs: 60_000 })).toMatchObject({ status: 'COMPLETED', error: null })
  await backUp(after, before.instance.id)
  expect(await findRecoveryPointsOf(after.database, before.instance.id)).toHaveLength(2)
})
