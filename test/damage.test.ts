import { copyFile, cp, open, readFile, rename, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import type { RecoveryPoint } from '../src/recovery-point/recovery-point.ts'
import type { Vault } from '../src/vault/vault.ts'
import { openPoint } from '../src/worker/point/read-point.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { actor, protect, runSql, type Service, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const files = [
  'point.json',
  'manifest.json.age',
  'globals.sql.zst.age',
  '0001.dump.zst.age',
  '0002.dump.zst.age',
  '0003.dump.zst.age',
]

/** Three databases of the same size, so that nothing but their bytes tells their archives apart. */
async function fill(source: Cluster): Promise<void> {
  await runSql(source, 'postgres', 'create database one', 'create database two')
  for (const name of ['one', 'two']) {
    await runSql(source, name, `create table t as select '${name}' as name, i from generate_series(1, 500) i`)
  }
}

/** Two points of one server, taken one after the other, and a place to keep their files as they are. */
async function twoPoints(service: Service, source: Cluster, folder: string) {
  const { instance, vault, vaultPath } = await protect(service, source, folder)
  for (let count = 0; count < 2; count++) {
    const job = await backUpNow(service.database, { instanceId: instance.id, actor, now: new Date() })
    expect(await service.ended(job.id)).toMatchObject({ status: 'COMPLETED' })
  }
  const points = await findRecoveryPointsOf(service.database, instance.id)
  const [newer, older] = points
  if (!newer || !older) throw new Error('There are not two recovery points.')
  const kept = join(folder, 'kept')
  await cp(join(vaultPath, 'points'), kept, { recursive: true })
  const giveBack = async (...names: string[]) => {
    for (const { prefix } of points) {
      for (const file of names) await copyFile(join(kept, prefix.slice(7), file), join(vaultPath, prefix, file))
    }
  }
  return {
    instance,
    vault,
    newer,
    older,
    giveBack,
    pathOf: (point: RecoveryPoint, file: string) => join(vaultPath, point.prefix, file),
  }
}

/** What a restore reads of a point, up to the first byte that it would hand on: what came out, and what was said of the rest. */
async function readAll(service: Service, vault: Vault, point: RecoveryPoint) {
  const read = { opened: [] as string[], refused: [] as string[] }
  const signal = AbortSignal.timeout(20_000)
  const told = (cause: unknown) => {
    expect(cause).toMatchObject({ code: expect.stringMatching(/^(ARTIFACT_DAMAGED|STORAGE_OBJECT_MISSING)$/) })
    read.refused.push(cause instanceof Error ? cause.message : '')
  }
  const opened = await openPoint(service.context, { point, vault, signal }).catch(told)
  for (const artifact of opened?.manifest.artifacts ?? []) {
    const plain = await opened?.open(artifact, signal, () => {}).catch(told)
    if (!plain) continue
    await buffer(plain)
    read.opened.push(artifact.file)
  }
  return read
}

async function flip(path: string, place: number): Promise<void> {
  const file = await open(path, 'r+')
  const { size } = await file.stat()
  const at = Math.floor(place * size)
  const { buffer: byte } = await file.read(Buffer.alloc(1), 0, 1, at)
  byte.writeUInt8(byte.readUInt8() ^ (1 << (Math.floor(place * 1e6) % 8)))
  await file.write(byte, 0, 1, at)
  await file.close()
}

async function cut(path: string, place: number): Promise<void> {
  const { size } = await stat(path)
  await truncate(path, Math.floor(place * size))
}

async function swap(one: string, other: string): Promise<void> {
  await rename(one, `${one}.aside`)
  await rename(other, one)
  await rename(`${one}.aside`, other)
}

const aFile = fc.constantFrom(...files)
const anArtifact = fc.constantFrom(...files.slice(3))
const aPlace = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const damages = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('flip' as const), file: aFile, place: aPlace }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), file: aFile, place: aPlace }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), file: aFile }) },
  {
    weight: 2,
    arbitrary: fc
      .record({ kind: fc.constant('swap' as const), file: anArtifact, other: anArtifact })
      .filter(({ file, other }) => file !== other),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('swapBetweenPoints' as const), file: aFile }) },
)

type Damage = typeof damages extends fc.Arbitrary<infer Kind> ? Kind : never

describe('damage in a vault', () => {
  test('a flipped bit, a cut, a loss or a swap, a thousand of them at random: each is found and named before a byte goes on', {
    timeout: 300_000,
  }, async ({ databaseUrl, folder }) => {
    await using source = await sourceServer()
    await fill(source)
    await using service = await startService({ databaseUrl, folder })
    const { vault, newer, older, giveBack, pathOf } = await twoPoints(service, source, folder)
    expect(await readAll(service, vault, newer)).toEqual({
      opened: expect.arrayContaining(files.slice(2)),
      refused: [],
    })
    const isFound = async (damage: Damage) => {
      const path = pathOf(newer, damage.file)
      const before = await readFile(path)
      if (damage.kind === 'flip') await flip(path, damage.place)
      if (damage.kind === 'cut') await cut(path, damage.place)
      if (damage.kind === 'lose') await rm(path)
      if (damage.kind === 'swap') await swap(path, pathOf(newer, damage.other))
      if (damage.kind === 'swapBetweenPoints') await swap(path, pathOf(older, damage.file))
      const after = await readFile(path).catch(() => undefined)
      expect(after?.equals(before)).not.toBe(true)
      const { opened, refused } = await readAll(service, vault, newer)
      expect(opened).not.toContain(damage.file)
      if (damage.kind === 'swap') expect(opened).not.toContain(damage.other)
      expect(refused.join('\n')).toContain(damage.file)
      await giveBack(damage.file, ...(damage.kind === 'swap' ? [damage.other] : []))
    }
    await fc.assert(fc.asyncProperty(damages, isFound), { numRuns: 1000, endOnFailure: true })
    expect(await readAll(service, vault, newer)).toMatchObject({ refused: [] })
  })
})
