import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { openStorage } from '../src/storage/open.ts'
import { readPlainJson, readSealedJson, writeSealedJson } from '../src/storage/sealed-json.ts'
import { proveIdentity, readVaultHeader } from '../src/storage/vault-header.ts'
import {
  artifactKey,
  checkVault,
  globalsKey,
  headerKey,
  initialiseVault,
  manifestKey,
  pointPrefix,
} from '../src/storage/vault-layout.ts'
import { writePointEnd } from './kit/point-end.ts'
import { put } from './kit/storage-contract.ts'
import { temporaryFolder } from './kit/temporary-folder.ts'

const { identity, recipient } = generateIdentity()
const stranger = generateIdentity()
const vault = { vaultId: 'b1f7cf1c-5f2e-4a56-9f0e-0c1a5d4f2b10', recipient }
const now = new Date('2026-03-04T05:06:07.008Z')

async function newPlace() {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const path = join(folder.path, 'vault')
  return { path, storage: openStorage({ kind: 'DIRECTORY', path }) }
}

test('a new vault makes its folder, says what it is, and how to restore from it', async () => {
  const { storage, path } = await newPlace()
  await initialiseVault(storage, { ...vault, now })
  expect((await readdir(path)).sort()).toEqual(['RESTORE.md', 'holdfast-vault.json'])
  expect(JSON.parse(await readFile(join(path, 'holdfast-vault.json'), 'utf8'))).toEqual({
    format: 'holdfast-vault',
    formatVersion: 1,
    ...vault,
    createdAt: '2026-03-04T05:06:07.008Z',
    canary: expect.any(String),
  })
  expect(await readFile(join(path, 'RESTORE.md'), 'utf8')).toContain(vault.vaultId)
  await checkVault(storage, vault)
})

test('setting a vault up again changes nothing, also by several at once', async () => {
  const { storage, path } = await newPlace()
  await Promise.all(Array.from({ length: 5 }, () => initialiseVault(storage, { ...vault, now })))
  const before = await readFile(join(path, 'holdfast-vault.json'))
  await storage.write('points/a/b.1/point.json', put('{}'))
  await initialiseVault(storage, { ...vault, now: new Date() })
  expect(await readFile(join(path, 'holdfast-vault.json'))).toEqual(before)
  expect((await readdir(path)).sort()).toEqual(['RESTORE.md', 'holdfast-vault.json', 'points'])
})

test('a set-up that was cut short is finished by the next', async () => {
  const { storage, path } = await newPlace()
  await mkdir(path)
  await writeFile(join(path, 'RESTORE.md'), '')
  await writeFile(join(path, '.partial-of-a-crash'), '')
  await initialiseVault(storage, { ...vault, now })
  await checkVault(storage, vault)
})

test('what a set-up of another vault has left is replaced, and its instructions name the right vault', async () => {
  const { storage, path } = await newPlace()
  await mkdir(path)
  await writeFile(join(path, 'RESTORE.md'), 'vault: another, sealed for another key')
  await initialiseVault(storage, { ...vault, now })
  const text = await readFile(join(path, 'RESTORE.md'), 'utf8')
  expect(text).toContain(vault.vaultId)
  expect(text).toContain(vault.recipient)
  expect(text).not.toContain('another key')
})

test('a place whose parent folder is missing is not made', async () => {
  const { storage } = await newPlace()
  const below = openStorage({ kind: 'DIRECTORY', path: join(storage.description.replace('folder ', ''), 'deeper') })
  await expect(initialiseVault(below, { ...vault, now })).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
})

test('a place with other things in it is refused and left as it is', async () => {
  const { storage, path } = await newPlace()
  await mkdir(path)
  await writeFile(join(path, 'thesis.doc'), 'precious')
  await expect(initialiseVault(storage, { ...vault, now })).rejects.toMatchObject({
    code: 'STORAGE_OBJECT_EXISTS',
    message: expect.stringContaining('thesis.doc'),
  })
  expect(await readdir(path)).toEqual(['thesis.doc'])
})

test('another vault, or the same one under another key, is refused', async () => {
  const { storage } = await newPlace()
  await initialiseVault(storage, { ...vault, now })
  for (const other of [
    { ...vault, vaultId: 'another' },
    { ...vault, recipient: stranger.recipient },
  ]) {
    await expect(checkVault(storage, other)).rejects.toMatchObject({ code: 'WRONG_KEY' })
    await expect(initialiseVault(storage, { ...other, now })).rejects.toMatchObject({ code: 'WRONG_KEY' })
  }
})

test('a key is proved by the canary', async () => {
  const { storage } = await newPlace()
  await initialiseVault(storage, { ...vault, now })
  const header = await readVaultHeader(storage)
  if (!header) throw new Error('There is no vault.')
  await proveIdentity(header, identity)
  await expect(proveIdentity(header, stranger.identity)).rejects.toMatchObject({ code: 'WRONG_KEY' })
})

test('an empty folder where the vault was is an unmounted disk, not a new vault', async () => {
  const { storage, path } = await newPlace()
  await initialiseVault(storage, { ...vault, now })
  await rm(path, { recursive: true })
  await expect(checkVault(storage, vault)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  await mkdir(path)
  await expect(checkVault(storage, vault)).rejects.toMatchObject({
    code: 'STORAGE_UNREACHABLE',
    message: expect.stringContaining('mounted'),
  })
  expect(await readdir(path)).toEqual([])
})

test.each(['', '{', '[]', '{"format":"holdfast-vault","formatVersion":2}'])(
  'a vault header of %j is damaged, and is not written over',
  async (text) => {
    const { storage, path } = await newPlace()
    await mkdir(path)
    await writeFile(join(path, 'holdfast-vault.json'), text)
    await expect(initialiseVault(storage, { ...vault, now })).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
    await expect(checkVault(storage, vault)).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
    expect(await readFile(join(path, 'holdfast-vault.json'), 'utf8')).toBe(text)
  },
)

test('a manifest that would be too large to be read again is refused, and nothing is left of it', async () => {
  const { storage, path } = await newPlace()
  await mkdir(path)
  // Two bytes each, where they are stored.
  const manifest = 'é'.repeat(128 * 1024 * 1024)
  const ids = { recoveryPointId: 'p', instanceId: 'i', vaultId: 'v' }
  const end = writePointEnd(storage, 'points/i/j.1/', {
    recipients: [recipient],
    manifest,
    header: ids,
    createdAt: now,
  })
  await expect(end).rejects.toMatchObject({ code: 'STORAGE_FAILED', subject: manifestKey('points/i/j.1/') })
  expect(await Array.fromAsync(storage.list(''))).toEqual([])
})

test('keys are made of ids, numbers and fixed names', () => {
  const prefix = pointPrefix('instance', 'job', 2)
  expect(prefix).toBe('points/instance/job.2/')
  expect(artifactKey(prefix, 1, 'ZSTD')).toBe('points/instance/job.2/0001.dump.zst.age')
  expect(artifactKey(prefix, 12345, 'NONE')).toBe('points/instance/job.2/12345.dump.age')
  expect(globalsKey(prefix)).toBe('points/instance/job.2/globals.sql.zst.age')
  expect(manifestKey(prefix)).toBe('points/instance/job.2/manifest.json.age')
  expect(headerKey(prefix)).toBe('points/instance/job.2/point.json')
})

test('sealed JSON comes back as it was, and only with the right key and digest', async () => {
  const { storage, path } = await newPlace()
  await mkdir(path)
  const value = { names: ['a "b"', 'line\nbreak', '数'], count: 3, nothing: null }
  const { key, storedSha256 } = await writeSealedJson(storage, 'manifest.json.age', value, { recipients: [recipient] })
  expect(key).toBe('manifest.json.age')
  expect(await readSealedJson(storage, key, { identity })).toEqual(value)
  expect(await readSealedJson(storage, key, { identity, storedSha256 })).toEqual(value)
  await expect(readSealedJson(storage, key, { identity: stranger.identity })).rejects.toMatchObject({
    code: 'WRONG_KEY',
    subject: key,
  })
  const otherDigest = readSealedJson(storage, key, { identity, storedSha256: '0'.repeat(64) })
  await expect(otherDigest).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED', subject: key })
  await expect(readSealedJson(storage, 'none.age', { identity })).rejects.toMatchObject({
    code: 'STORAGE_OBJECT_MISSING',
  })
})

test('a point ends with its manifest and, last of all, a plain header that names its digest', async () => {
  const { storage, path } = await newPlace()
  await initialiseVault(storage, { ...vault, now })
  const prefix = pointPrefix('instance', 'job', 1)
  const header = { recoveryPointId: 'point', instanceId: 'instance', vaultId: vault.vaultId }
  const manifest = { format: 1 }
  const end = { recipients: [recipient], manifest, header, createdAt: now }
  const sealed = await writePointEnd(storage, prefix, end)
  const { storedBytes, storedSha256 } = sealed
  expect(sealed.key).toBe(manifestKey(prefix))
  expect(await readPlainJson(storage, headerKey(prefix))).toEqual({
    format: 'holdfast-point',
    formatVersion: 1,
    ...header,
    createdAt: '2026-03-04T05:06:07.008Z',
    manifest: { storedBytes, storedSha256 },
  })
  expect(await readSealedJson(storage, sealed.key, { identity, storedSha256 })).toEqual(manifest)

  const second = pointPrefix('instance', 'job', 2)
  await directoryStorage(path).write(manifestKey(second), put('in the way'))
  await expect(writePointEnd(storage, second, end)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' })
  expect(await storage.size(headerKey(second))).toBeUndefined()
})
