import { randomBytes, randomInt } from 'node:crypto'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { type Compression, openArtifact, writeArtifact } from '../src/storage/artifact.ts'
import type { Storage } from '../src/storage/contract.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { proveArtifact } from '../src/storage/prove-artifact.ts'
import { StorageError } from '../src/storage/storage-error.ts'
import { drain } from '../src/worker/streams.ts'
import { put } from './kit/storage-contract.ts'
import { temporaryFolder } from './kit/temporary-folder.ts'

const { identity, recipient } = generateIdentity()
const recipients = [recipient]
const key = 'points/one/0001.dump.age'

async function stored(compression: Compression, sizeBytes: number) {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const storage = directoryStorage(folder.path)
  const digest = await writeArtifact(storage, key, { recipients, compression }, put(randomBytes(sizeBytes)))
  const how = { identity, compression, digest }
  const prove = (decode: (plain: Readable) => Promise<void> = drain, changes: Partial<typeof how> = {}) =>
    proveArtifact(storage, key, { ...how, ...changes }, decode)
  return { storage, digest, how, prove, file: join(folder.path, key) }
}

describe.each<Compression>(['ZSTD', 'NONE'])('proving an artifact with compression %s in one pass', (compression) => {
  test('reads all of it, once, and tells how far it is', async () => {
    const { digest, how, storage } = await stored(compression, 3_000_000)
    const counts: number[] = []
    let plainBytes = 0
    await proveArtifact(storage, key, { ...how, onCheckedBytes: (total) => void counts.push(total) }, async (plain) => {
      for await (const piece of plain) plainBytes += piece.length
    })
    expect(plainBytes).toBe(digest.plainBytes)
    expect(counts.at(-1)).toBe(digest.storedBytes)
    expect(counts.toSorted((one, other) => one - other)).toEqual(counts)
  })

  test('finds every one of 500 flipped bits and 20 cuts, by name; a restore does before a byte comes out', async () => {
    const { storage, how, prove, file } = await stored(compression, 70_000)
    const whole = await readFile(file)
    const failure = { code: 'ARTIFACT_DAMAGED', subject: key }
    for (let round = 0; round < 500; round++) {
      const bytes = Buffer.from(whole)
      // The header is short, and every byte of it means something else.
      const position = round % 2 === 0 ? randomInt(250) : randomInt(whole.length)
      bytes.writeUInt8(bytes.readUInt8(position) ^ (1 << randomInt(8)), position)
      await writeFile(file, bytes)
      await expect(prove(), `bit flipped at ${position}`).rejects.toMatchObject(failure)
      await expect(openArtifact(storage, key, how)).rejects.toMatchObject(failure)
    }
    await writeFile(file, whole)
    for (let round = 0; round < 20; round++) {
      const length = randomInt(whole.length)
      await truncate(file, length)
      await expect(prove(), `cut at ${length}`).rejects.toMatchObject(failure)
      await writeFile(file, whole)
    }
    await prove()
  })

  test('finds every single byte that is another one, and every byte that is missing or too many', async () => {
    const { prove, file } = await stored(compression, 300)
    const whole = await readFile(file)
    const failure = { code: 'ARTIFACT_DAMAGED', subject: key }
    for (let position = 0; position < whole.length; position++) {
      const bytes = Buffer.from(whole)
      bytes.writeUInt8(bytes.readUInt8(position) ^ (1 << (position % 8)), position)
      await writeFile(file, bytes)
      await expect(prove(), `bit flipped at ${position}`).rejects.toMatchObject(failure)
    }
    for (const other of [whole.subarray(0, -1), Buffer.concat([whole, Buffer.alloc(1)]), Buffer.alloc(0)]) {
      await writeFile(file, other)
      await expect(prove()).rejects.toMatchObject(failure)
    }
  })

  test('finds a file that opens to the same bytes and is not the one that was written: a restore would refuse it', async () => {
    const { storage, how, prove, file } = await stored(compression, 70_000)
    const plain = await buffer(await openArtifact(storage, key, how))
    await rm(file)
    const other = await writeArtifact(storage, key, { recipients, compression }, put(plain))
    expect(other.storedBytes).toBe(how.digest.storedBytes)
    await expect(prove()).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED', subject: key })
  })

  test('does not take for damage what is none: a wrong key, or a program that fails', async () => {
    const { prove } = await stored(compression, 5_000_000)
    const { identity: stranger } = generateIdentity()
    await expect(prove(drain, { identity: stranger })).rejects.toMatchObject({ code: 'WRONG_KEY' })
    const failure = new Error('pg_restore was killed')
    await expect(prove(() => Promise.reject(failure))).rejects.toBe(failure)
  })

  test('tells of what it reads a second time, to be certain of damage', async () => {
    const { storage, how, file } = await stored(compression, 5_000_000)
    const bytes = await readFile(file)
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
    await writeFile(file, bytes)
    const counts: number[] = []
    const onCheckedBytes = (total: number) => void counts.push(total)
    const failure = { code: 'ARTIFACT_DAMAGED', subject: key }
    await expect(proveArtifact(storage, key, { ...how, onCheckedBytes }, drain)).rejects.toMatchObject(failure)
    expect(counts.some((total, at) => total < (counts[at - 1] ?? 0))).toBe(true)
    expect(counts.at(-1)).toBe(bytes.length)
  })

  test.each(['ENOSPC', 'EDQUOT'])(
    'reads nothing again when there is no room for what it opens to: %s',
    async (code) => {
      const { storage, how } = await stored(compression, 5_000_000)
      let readings = 0
      const counting: Storage = {
        ...storage,
        read(...asked) {
          readings += 1
          return storage.read(...asked)
        },
      }
      const failure = Object.assign(new Error(`${code}: write`), { code })
      const disk = () => new Writable({ write: (_bytes, _encoding, done) => done(failure) })
      const proving = proveArtifact(counting, key, how, (plain) => pipeline(plain, disk()))
      await expect(proving).rejects.toBe(failure)
      expect(readings).toBe(1)
    },
  )

  test('takes bytes for damaged that open to others than were backed up, and says so at the end', async () => {
    const { digest, prove } = await stored(compression, 1000)
    const wrong = { ...digest, plainGmac: '0'.repeat(32) } as typeof digest
    const failing = prove(drain, { digest: wrong })
    await expect(failing).rejects.toBeInstanceOf(StorageError)
    await expect(failing).rejects.toThrow('opens to other bytes')
  })

  test.each(['prove', 'open'] as const)('to %s it stops when it is aborted while it is being opened', async (way) => {
    const { how, storage } = await stored(compression, 100_000)
    const abort = new AbortController()
    const reason = new Error('cancelled')
    let reads = 0
    const slow = {
      ...storage,
      async read(...given: Parameters<typeof storage.read>) {
        reads += 1
        // Opening reads the whole of it first, to compare it.
        if (way === 'prove' || reads === 2) {
          setImmediate(() => abort.abort(reason))
          await new Promise((resolve) => abort.signal.addEventListener('abort', () => setImmediate(resolve)))
        }
        return storage.read(...given)
      },
    }
    const asked = { ...how, signal: abort.signal }
    const stopped =
      way === 'prove' ? proveArtifact(slow, key, asked, drain) : openArtifact(slow, key, asked).then(drain)
    await expect(stopped).rejects.toBe(reason)
  })

  test('stops when it is aborted', async () => {
    const { how, storage } = await stored(compression, 8_000_000)
    const abort = new AbortController()
    const reason = new Error('cancelled')
    const proving = proveArtifact(storage, key, { ...how, signal: abort.signal }, async (plain) => {
      for await (const _ of plain) abort.abort(reason)
    })
    await expect(proving).rejects.toBe(reason)
  })
})
