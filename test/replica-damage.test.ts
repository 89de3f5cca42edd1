import { describe, expect } from 'vitest'
import { enqueueJob, enqueueOrFind } from '../src/job/enqueue.ts'
import { copyJob } from '../src/recovery-point/copy/copy.ts'
import { recordCopy } from '../src/recovery-point/copy/record-copy.ts'
import { recordDamage } from '../src/recovery-point/record-damage.ts'
import { requireRestorable } from '../src/restore/refuse.ts'
import { findVaults } from '../src/vault/find.ts'
import { day } from './kit/life.ts'
import { actor, startService } from './kit/protected-server.ts'
import { backUp, copied, copiesOf, protectTwice, startReplicatedLife } from './kit/replica.ts'
import { test } from './kit/test.ts'
import { pointNow, rewriteManifest, verify } from './kit/verify.ts'

test('a copy that is needless by the time that it is made does not count as a failure', async ({
  databaseUrl,
  folder,
}) => {
  await using life = await startReplicatedLife({ databaseUrl, folder })
  const { database, clock, instance } = life
  const point = await life.addPoint(1)
  await life.addCopy(point)
  const copy = await database.transaction((tx) =>
    enqueueOrFind(tx, copyJob({ instance, point, replicaId: life.replica.id, now: clock.now })),
  )
  expect(await life.service.ended(copy.id)).toMatchObject({ status: 'CANCELLED', cancelRequestedAt: null })
  expect(await life.pointNow(point)).toMatchObject({ copyFailures: 0, copyRetryAt: null })
})

describe('a point that does not restore as it should', { timeout: 120_000 }, () => {
  test('makes its copy suspect as well, and one of both that restores clears the other', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database } = service
    const { instance, vault } = await protectTwice(service, source, folder)
    const point = await backUp(service, instance.id)
    await copied(database, point.id)
    const [copy] = await copiesOf(database, instance.id)
    const [sealing] = await findVaults(database, [vault.id])
    if (!copy || !sealing) throw new Error('There is no copy.')
    await rewriteManifest(service, { point, vault: sealing }, ({ databases }) => {
      databases[0]?.tables.push({ schema: 'public', name: 'gone', rows: 3 })
    })
    expect(await verify(service, point, 'RESTORED')).toMatchObject({ error: { code: 'PROOF_FAILED' } })
    const suspect = await pointNow(service, point)
    expect(suspect).toMatchObject({
      state: 'SUSPECT',
      damageLevel: 'RESTORED',
      damage: [expect.stringContaining('gone')],
    })
    expect(await pointNow(service, copy)).toMatchObject({
      state: 'SUSPECT',
      damageLevel: 'RESTORED',
      damage: suspect.damage,
    })
    const refused = database.transaction((tx) => requireRestorable(tx, point.id))
    await expect(refused).rejects.toMatchObject({ name: 'RecoveryPointSuspect', twinId: null })

    expect(await verify(service, copy, 'RESTORED')).toMatchObject({ status: 'COMPLETED', error: null })
    const clear = { state: 'AVAILABLE', damageLevel: null, damage: [] }
    expect(await pointNow(service, copy)).toMatchObject({ ...clear, proof: 'RESTORED' })
    expect(await pointNow(service, point)).toMatchObject({ ...clear, proof: 'READ_BACK' })
  })

  test('is no better as a copy that was being made meanwhile; damage of its files is its own', async ({
    databaseUrl,
    folder,
  }) => {
    await using life = await startReplicatedLife({ databaseUrl, folder })
    const { database, clock } = life
    const now = clock.now
    const copyOf = async (damage: string[]) => {
      const original = await life.addPoint(1)
      const named = damage.map((sentence) => sentence.replace('PREFIX', original.prefix))
      await database.transaction(async (tx) => {
        const found = { recoveryPointId: original.id, damage: named, level: 'RESTORED' as const, now }
        await recordDamage(tx, found)
        const { id: jobId } = await enqueueJob(tx, {
          operation: 'COPY',
          trigger: 'SYSTEM',
          input: {},
          subject: {},
          runAt: new Date(Date.now() + day),
          actor,
          now,
        })
        await recordCopy(tx, {
          id: crypto.randomUUID(),
          originalId: original.id,
          replicaId: life.replica.id,
          jobId,
          prefix: `points/${life.instance.id}/${jobId}.1/`,
          manifestSha256: '0'.repeat(64),
          storedBytes: 1,
          recipient: life.replica.recipient,
          databases: [],
          now,
        })
      })
      return (await copiesOf(database, life.instance.id)).find(({ copyOfId }) => copyOfId === original.id)
    }
    const file = 'PREFIX0001.dump.age does not hold what was written.'
    expect(await copyOf([file, 'Table t is missing.'])).toMatchObject({
      state: 'SUSPECT',
      damage: ['Table t is missing.'],
      damageLevel: 'RESTORED',
    })
    expect(await copyOf([file])).toMatchObject({ state: 'AVAILABLE', damage: [], damageLevel: null })
  })
})
