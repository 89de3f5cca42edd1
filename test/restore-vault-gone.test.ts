import { once } from 'node:events'
import { readdir, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { findRecoveryPoints } from '../src/recovery-point/find.ts'
import { restoreToServer } from '../src/restore/to-server.ts'
import { validateRestore } from '../src/restore/validate.ts'
import { backedUp } from './kit/backed-up.ts'
import { actor, firstFailure, register, type Service, startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { intoServer } from './kit/validation.ts'

/** Something in the place of a server, that does this when it is asked: by then the point has been looked at. */
async function whenAsked(work: () => Promise<void>) {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    void work().finally(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    host: '127.0.0.1',
    port: typeof address === 'object' && address ? address.port : 0,
    superuser: 'nobody',
    password: 'none',
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

/** Both ways of looking at a restore beforehand. */
const looks = [
  [
    'validating a restore',
    (service: Service, recoveryPointId: string, serverId: string) =>
      validateRestore(service.database, { recoveryPointId, target: intoServer(serverId), actor, now: new Date() }),
  ],
  [
    'a restore',
    (service: Service, recoveryPointId: string, serverId: string) =>
      restoreToServer(service.database, {
        recoveryPointId,
        serverId,
        databases: null,
        ownership: { kind: 'NONE' },
        actor,
        now: new Date(),
      }),
  ],
] as const

describe('What is missing from a vault', { timeout: 60_000 }, () => {
  test.for(looks)(
    'is not held against the point by %s when the vault itself goes away',
    async ([, look], { databaseUrl, folder, source }) => {
      await using service = await startService({ databaseUrl, folder })
      const point = await backedUp(service, source, folder)
      const vault = join(folder, 'vault')
      const [archive] = (await readdir(join(vault, point.prefix))).filter((name) => name.includes('.dump'))
      await rm(join(vault, point.prefix, archive ?? ''))
      await using target = await whenAsked(() => rename(vault, join(folder, 'aside')).catch(() => {}))
      const server = await register(service, target)
      const { id } = await look(service, point.id, server.id)
      const failed = await firstFailure(service.database, id)
      expect(failed.error?.code).toMatch(/^(STORAGE_UNREACHABLE|VAULT_MISSING)$/)
      const [after] = await findRecoveryPoints(service.database, [point.id])
      expect(after).toMatchObject({ state: 'AVAILABLE', damage: [] })
    },
  )

  test('is held against it by a restore as far as that could see: a re-reading can clear it', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const point = await backedUp(service, source, folder)
    const place = join(folder, 'vault', point.prefix)
    const [archive = ''] = (await readdir(place)).filter((name) => name.includes('.dump'))
    await rename(join(place, archive), join(folder, archive))
    const server = await register(service, source)
    const { id } = await looks[1][1](service, point.id, server.id)
    expect(await service.ended(id)).toMatchObject({ status: 'FAILED' })
    const [after] = await findRecoveryPoints(service.database, [point.id])
    expect(after).toMatchObject({ state: 'SUSPECT', damageLevel: 'READ_BACK' })
  })
})
