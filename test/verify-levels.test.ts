import { rename } from 'node:fs/promises'
import { describe, expect } from 'vitest'
import { notifications } from '../src/database/tables/notification.ts'
import { findKeptBecause } from '../src/instance/expiry/find-kept-because.ts'
import { findGuardedPoints } from '../src/recovery-point/find.ts'
import { createDatabase } from './kit/engine.ts'
import { type Service, startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { artifactsOf, backedUp, backUpAgain, flipBit, pointNow, proofsOf, verify } from './kit/verify.ts'

async function suspicions({ database }: Service): Promise<string[]> {
  const told = await database.select().from(notifications)
  return told.filter(({ kind }) => kind === 'RECOVERY_POINT_SUSPECT').map(({ message }) => message)
}

describe('a verification', { timeout: 240_000 }, () => {
  test('goes as far as it was asked, and says what it looked at', async ({ databaseUrl, folder, source }) => {
    await using service = await startService({ databaseUrl, folder })
    await createDatabase(source, 'create table t as select i, md5(i::text) from generate_series(1, 20000) i')
    const made = await backedUp(service, source, folder)
    const stored = { artifacts: made.point.databases.length + 2, storedBytes: made.point.storedBytes }

    const readBack = await verify(service, made.point, 'READ_BACK')
    expect(readBack).toMatchObject({ status: 'COMPLETED', error: null })
    expect(readBack.bytesDone).toBe(readBack.bytesTotal)
    const once = await pointNow(service, made.point)
    expect(once).toMatchObject({ proof: 'READ_BACK', decodedAt: null, restoredAt: null })
    expect(once.lastReadAt?.getTime()).toBeGreaterThan(made.point.provenAt.getTime())

    expect(await verify(service, made.point, 'DECODED')).toMatchObject({ status: 'COMPLETED', error: null })
    const twice = await pointNow(service, made.point)
    expect(twice).toMatchObject({ proof: 'DECODED', restoredAt: null })
    expect(twice.decodedAt).toEqual(twice.lastReadAt)

    // A proof that goes less far takes nothing back.
    await verify(service, made.point, 'READ_BACK')
    expect(await pointNow(service, made.point)).toMatchObject({ proof: 'DECODED', decodedAt: twice.decodedAt })
    const proofs = await proofsOf(service, made.point)
    expect(
      proofs.map(({ level, outcome, checked }) => [level, outcome, checked.artifacts, checked.storedBytes]),
    ).toEqual(
      ['READ_BACK', 'DECODED', 'READ_BACK', 'READ_BACK'].map((level) => [level, 'PROVEN', ...Object.values(stored)]),
    )
    expect(proofs[1]?.checked.plainBytes).toBeGreaterThan(500_000)
    expect(proofs[0]?.checked.plainBytes).toBeNull()
  })

  test.for([
    ['READ_BACK', undefined],
    ['DECODED', undefined],
    // In the header that says for whom it is sealed: it looks like another key's, and is damage all the same.
    ['DECODED', 40],
    ['RESTORED', undefined],
  ] as const)(
    'to %s names a file with a flipped bit (at %s), tells of it once, and clears it when it is put right',
    async ([level, at], { databaseUrl, folder, source }) => {
      await using service = await startService({ databaseUrl, folder })
      const made = await backedUp(service, source, folder)
      const [artifact = ''] = await artifactsOf(made)
      await flipBit(artifact, at)
      for (const _ of ['first', 'second']) {
        const ended = await verify(service, made.point, level)
        expect(ended).toMatchObject({ status: 'FAILED', error: { code: 'ARTIFACT_DAMAGED' } })
        expect(ended.error?.details).toContain(
          `${artifact.slice(artifact.lastIndexOf('/') + 1)} does not hold the bytes`,
        )
      }
      expect(await pointNow(service, made.point)).toMatchObject({ state: 'SUSPECT', damageLevel: level })
      expect(await suspicions(service)).toEqual([expect.stringContaining('does not hold the bytes')])
      expect((await proofsOf(service, made.point)).map(({ outcome }) => outcome)).toEqual([
        'FAILED',
        'FAILED',
        'PROVEN',
      ])

      await flipBit(artifact, at)
      expect(await verify(service, made.point, level)).toMatchObject({ status: 'COMPLETED', error: null })
      expect(await pointNow(service, made.point)).toMatchObject({
        state: 'AVAILABLE',
        damage: [],
        damageLevel: null,
        proof: level,
      })
    },
  )

  test('finds files of two points that were swapped, though both are sealed for the same key', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const made = await backedUp(service, source, folder)
    const point = await backUpAgain(service, made.instance)
    const [ours = ''] = await artifactsOf(made)
    const [theirs = ''] = await artifactsOf({ ...made, point })
    await rename(ours, `${ours}.aside`)
    await rename(theirs, ours)
    await rename(`${ours}.aside`, theirs)
    for (const level of ['READ_BACK', 'DECODED', 'RESTORED'] as const) {
      for (const each of [made.point, point]) {
        expect(await verify(service, each, level)).toMatchObject({ error: { code: 'ARTIFACT_DAMAGED' } })
        expect(await pointNow(service, each)).toMatchObject({ state: 'SUSPECT' })
      }
    }
  })

  test('that fails leaves the one proven before it as the newest restorable, which no expiry takes', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { instance, ...made } = await backedUp(service, source, folder)
    await verify(service, made.point, 'DECODED')
    const newest = await backUpAgain(service, instance)
    const [artifact = ''] = await artifactsOf({ ...made, point: newest })
    const guarded = async () =>
      (await findGuardedPoints(service.database, [instance.id])).get(instance.id)?.get(instance.vaultId)
    expect(await guarded()).toEqual({ newestRestorable: newest.id, bestProven: made.point.id })
    await flipBit(artifact)
    await verify(service, newest, 'READ_BACK')
    expect(await guarded()).toEqual({ newestRestorable: made.point.id, bestProven: made.point.id })
    const now = new Date(Date.now() + 400 * 86_400_000)
    const why = await findKeptBecause(service.database, { pointIds: [made.point.id, newest.id], now })
    expect(why.get(made.point.id)).toEqual(['NEWEST_RESTORABLE', 'BEST_PROVEN'])
    // It is not deleted for being suspect: its own time has to be over, as for every other.
    const today = await findKeptBecause(service.database, { pointIds: [newest.id], now: new Date() })
    expect(today.get(newest.id)).toContain('WITHIN_RETENTION')
  })
})
