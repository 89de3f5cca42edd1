import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { chooseCopy, listCopies, openVault } from '../src/recover/find-copy.ts'
import { recover } from '../src/recover/recover.ts'
import { RecoveryRefused } from '../src/recover/refused.ts'
import { verifyRecoveryPoint } from '../src/recovery-point/verify.ts'
import { updateServerCredentials } from '../src/server/update-credentials.ts'
import { readSettings } from '../src/settings.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { backUpMetadata } from '../src/vault/metadata/back-up.ts'
import { emptyDatabase } from './kit/fresh-database.ts'
import { actor, protect, startService } from './kit/protected-server.ts'
import { addReplicaVault, backUp } from './kit/replica.ts'
import { test } from './kit/test.ts'

const asked = () => ({ actor, now: new Date() })

/** As the program does it, with the recovery keys that are given. */
async function recoverFrom(vaultPath: string, identities: string[], { data, url }: { data: string; url: string }) {
  await mkdir(data, { recursive: true })
  const storage = directoryStorage(vaultPath)
  const opened = await openVault(storage, identities)
  const copies = await listCopies(storage)
  const settings = readSettings({ HOLDFAST_DATA_DIR: data, DATABASE_URL: url })
  const location = { kind: 'DIRECTORY' as const, path: vaultPath }
  const request = { location, identities, dataDirectory: data, isListing: false, at: null }
  const copy = chooseCopy(copies, null, new Date())
  return recover({ settings, asked: request, storage, copies, copy, identities: opened.identities })
}

test('a copy without the key file brings the service back with the recovery key of every vault, and passwords set anew', {
  timeout: 180_000,
}, async ({ databaseUrl, folder, source }) => {
  const before = await (async () => {
    await using service = await startService({ databaseUrl, folder }, { copiesKeyFile: false })
    const { database, secrets } = service
    const made = await protect(service, source, folder)
    const other = await addReplicaVault(service, folder)
    const point = await backUp(service, made.instance.id)
    const copied = await backUpMetadata(database, { vaultId: made.vault.id, ...asked() })
    expect(await service.ended(copied.id)).toMatchObject({ status: 'COMPLETED' })
    const keyOf = async (vaultId: string) =>
      (await exportRecoveryKey(database, { vaultId, secrets, ...asked() })).recoveryKey
    return { ...made, point, keys: [await keyOf(made.vault.id), await keyOf(other.id)], other }
  })()

  const [key = '', otherKey = ''] = before.keys
  await using empty = await emptyDatabase()
  const place = { data: join(folder, 'new'), url: empty.url }
  const refusal = await recoverFrom(before.vaultPath, [key], place).catch((cause) => cause)
  expect(refusal).toBeInstanceOf(RecoveryRefused)
  expect(String(refusal)).toContain(`"${before.other.name}"`)
  const recovered = await recoverFrom(before.vaultPath, [otherKey, key], place)
  expect(recovered).toMatchObject({ hasKeyFile: false, unknownPointCount: 0 })

  await using after = await startService({ databaseUrl: empty.url, folder: place.data })
  const { database, secrets } = after
  // The vault's key is sealed with the new key file: points are opened again.
  const look = await verifyRecoveryPoint(database, { recoveryPointId: before.point.id, ...asked() })
  expect(await after.ended(look.id, { withinMs: 60_000 })).toMatchObject({ status: 'COMPLETED', error: null })
  // Passwords are not.
  const inVain = await backUpNow(database, { instanceId: before.instance.id, ...asked() })
  expect(await after.ended(inVain.id)).toMatchObject({ status: 'FAILED', error: { code: 'SECRET_UNREADABLE' } })
  await updateServerCredentials(database, {
    serverId: before.server.id,
    username: source.superuser,
    password: source.password,
    secrets,
    ...asked(),
  })
  expect(await backUp(after, before.instance.id)).toMatchObject({ state: 'AVAILABLE', proof: 'READ_BACK' })
})
