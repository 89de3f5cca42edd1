import { execFile } from 'node:child_process'
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { type Compression, openArtifact, readBackArtifact, writeArtifact } from '../src/storage/artifact.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { proveArtifact } from '../src/storage/prove-artifact.ts'
import { drain } from '../src/worker/streams.ts'
import { olderDigest } from './kit/older-digest.ts'
import { put } from './kit/storage-contract.ts'
import { temporaryFolder } from './kit/temporary-folder.ts'

const { identity, recipient } = generateIdentity()
const recipients = [recipient]
const key = 'points/one/0001.dump.age'

async function openVault() {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  return { storage: directoryStorage(folder.path), path: folder.path }
}

/** GMAC of all bytes at once. */
function gmacOf(plain: Buffer, key: string) {
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'hex'), Buffer.alloc(12)).setAAD(plain)
  cipher.final()
  return cipher.getAuthTag().toString('hex')
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe.each<Compression>(['ZSTD', 'NONE'])('an artifact with compression %s', (compression) => {
  test.each([0, 1, 9_000_000])('of %i bytes is written, read back and opened', async (sizeBytes) => {
    const { storage, path } = await openVault()
    const plain = Buffer.alloc(sizeBytes, randomBytes(10_000))
    const counts: number[] = []
    const onPlainBytes = (total: number) => counts.push(total)
    const digest = await writeArtifact(storage, key, { recipients, compression, onPlainBytes }, (sink) =>
      pipeline(Readable.from([plain]), sink),
    )
    const stored = await readFile(join(path, key))
    expect(digest).toEqual({
      plainBytes: sizeBytes,
      plainGmac: gmacOf(plain, digest.plainGmacKey ?? ''),
      plainGmacKey: expect.stringMatching(/^[0-9a-f]{64}$/),
      storedBytes: stored.length,
      storedSha256: sha256(stored),
      sealSha256: sha256(stored.subarray(0, stored.indexOf('\n', stored.indexOf('\n--- ') + 1) + 17)),
    })
    expect(counts.at(-1) ?? 0).toBe(sizeBytes)
    expect(stored.includes(plain.subarray(0, 100)) && sizeBytes > 1).toBe(false)
    await readBackArtifact(storage, key, digest)
    const opened = await buffer(await openArtifact(storage, key, { identity, compression, digest }))
    expect(opened.equals(plain)).toBe(true)
  })

  test('has a digest of its plain bytes that openssl gives too, and another key each time', async () => {
    const { storage, path } = await openVault()
    const plain = randomBytes(3_000_000)
    const [first, second] = [key, 'points/two/0001.dump.age'].map((each) =>
      writeArtifact(storage, each, { recipients, compression }, put(plain)),
    )
    const digest = await first
    await writeFile(join(path, 'plain'), plain)
    const how = [`hexkey:${digest?.plainGmacKey}`, `hexiv:${'0'.repeat(24)}`].flatMap((value) => ['-macopt', value])
    const args = ['mac', '-cipher', 'AES-256-GCM', ...how, '-in', join(path, 'plain'), 'GMAC']
    const { stdout } = await promisify(execFile)('openssl', args)
    expect(stdout.trim().toLowerCase()).toBe(digest?.plainGmac)
    expect((await second)?.plainGmacKey).not.toBe(digest?.plainGmacKey)
  })

  test('is extracted in one reading, which succeeds only when every digest is right', async () => {
    const { storage, path } = await openVault()
    const plain = randomBytes(3_000_000)
    const digest = await writeArtifact(storage, key, { recipients, compression }, (sink) =>
      pipeline(Readable.from([plain]), sink),
    )
    const extract = async (expected: typeof digest) => {
      const pieces: Buffer[] = []
      const sink = new Writable({
        write: (piece: Buffer, _encoding, done) => {
          pieces.push(piece)
          done()
        },
      })
      await proveArtifact(storage, key, { identity, compression, digest: expected }, (opened) => pipeline(opened, sink))
      return Buffer.concat(pieces)
    }
    expect((await extract(digest)).equals(plain)).toBe(true)
    const wrong = '0'.repeat(64)
    const damaged = { code: 'ARTIFACT_DAMAGED' }
    await expect(extract({ ...digest, sealSha256: wrong })).rejects.toMatchObject(damaged)
    await expect(extract({ ...digest, plainGmac: '0'.repeat(32) } as typeof digest)).rejects.toMatchObject(damaged)
    await expect(extract({ ...digest, plainGmacKey: wrong } as typeof digest)).rejects.toMatchObject(damaged)
    const { sealSha256: _, ...older } = digest
    expect((await extract(older)).equals(plain)).toBe(true)
    await expect(extract({ ...older, storedSha256: wrong })).rejects.toMatchObject(damaged)
    const stored = await readFile(join(path, key))
    stored[stored.length >> 1] = (stored[stored.length >> 1] ?? 0) ^ 1
    await writeFile(join(path, key), stored)
    await expect(extract(digest)).rejects.toMatchObject(damaged)
    await unlink(join(path, key))
    await expect(extract(digest)).rejects.toMatchObject(damaged)
  })

  test('of version 0.3 is opened and proven by the sha256 of its plain bytes', async () => {
    const { storage } = await openVault()
    const plain = randomBytes(300_000)
    const written = await writeArtifact(storage, key, { recipients, compression }, put(plain))
    const digest = olderDigest(written, plain)
    const opened = await buffer(await openArtifact(storage, key, { identity, compression, digest }))
    expect(opened.equals(plain)).toBe(true)
    await proveArtifact(storage, key, { identity, compression, digest }, drain)
    const other = { ...olderDigest(written, Buffer.from('something else')), plainBytes: plain.length }
    const proving = proveArtifact(storage, key, { identity, compression, digest: other }, drain)
    await expect(proving).rejects.toThrow('opens to other bytes')
  })

  test('is nothing at all when the dump fails, and the failure is the dump’s own', async () => {
    const { storage, path } = await openVault()
    const failure = new Error('pg_dump exited with 1')
    const source = Readable.from(
      (function* () {
        yield randomBytes(6_000_000)
        throw new Error('the pipe broke')
      })(),
    )
    const write = writeArtifact(storage, key, { recipients, compression }, async (sink) => {
      await pipeline(source, sink).catch(() => undefined)
      throw failure
    })
    await expect(write).rejects.toBe(failure)
    expect(await readdir(join(path, 'points/one'))).toEqual([])
  })

  test('is nothing at all when the dump resolves although its stream was cut', async () => {
    const { storage, path } = await openVault()
    const write = writeArtifact(storage, key, { recipients, compression }, async (sink) => {
      await new Promise((resolve) => sink.write(randomBytes(1000), resolve))
      sink.destroy()
    })
    await expect(write).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    expect(await readdir(join(path, 'points/one'))).toEqual([])
  })

  test('is nothing at all when it is aborted, at once', async () => {
    const { storage, path } = await openVault()
    const abort = new AbortController()
    const reason = new Error('cancelled')
    const write = writeArtifact(storage, key, { recipients, compression, signal: abort.signal }, async (sink) => {
      await new Promise((resolve) => sink.write(randomBytes(5_000_000), resolve))
      abort.abort(reason)
      await Promise.withResolvers().promise
    })
    await expect(write).rejects.toBe(reason)
    expect(await readdir(join(path, 'points/one'))).toEqual([])
  })

  test('does not overwrite', async () => {
    const { storage } = await openVault()
    const digest = await writeArtifact(storage, key, { recipients, compression }, put('first'))
    await expect(writeArtifact(storage, key, { recipients, compression }, put('second'))).rejects.toMatchObject({
      code: 'STORAGE_OBJECT_EXISTS',
      subject: key,
    })
    await readBackArtifact(storage, key, digest)
  })

  test('that was damaged is found by name, whatever the damage, before a byte comes out', async () => {
    const { storage, path } = await openVault()
    const digest = await writeArtifact(storage, key, { recipients, compression }, put(randomBytes(200_000)))
    const file = join(path, key)
    const stored = await readFile(file)
    const flipped = (position: number) => {
      const bytes = Buffer.from(stored)
      bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
      return writeFile(file, bytes)
    }
    const damages: (() => Promise<void>)[] = [
      () => flipped(0),
      () => flipped(100_000),
      () => flipped(stored.length - 1),
      () => truncate(file, stored.length - 1),
      () => truncate(file, 0),
      () => writeFile(file, Buffer.concat([stored, Buffer.from('x')])),
      () => writeFile(file, randomBytes(stored.length)),
      () => unlink(file),
    ]
    for (const damage of damages) {
      await writeFile(file, stored)
      await damage()
      const failure = { code: 'ARTIFACT_DAMAGED', subject: key, message: expect.stringContaining(key) }
      await expect(readBackArtifact(storage, key, digest)).rejects.toMatchObject(failure)
      await expect(openArtifact(storage, key, { identity, compression, digest })).rejects.toMatchObject(failure)
    }
  })

  test('that is sealed for another key does not open', async () => {
    const { storage } = await openVault()
    const digest = await writeArtifact(storage, key, { recipients, compression }, put('x'))
    const stranger = generateIdentity().identity
    const opened = await openArtifact(storage, key, { identity: stranger, compression, digest })
    await expect(buffer(opened)).rejects.toMatchObject({ code: 'WRONG_KEY', subject: key })
  })

  test('whose plain bytes are not those of the backup ends in an error', async () => {
    const { storage } = await openVault()
    const digest = await writeArtifact(storage, key, { recipients, compression }, put('what was written'))
    const others = [
      { ...digest, plainBytes: 3 },
      { ...digest, plainGmac: '0'.repeat(32) } as typeof digest,
      olderDigest(digest, Buffer.from('something elsewhere')),
    ]
    for (const wrong of others) {
      const opened = await openArtifact(storage, key, { identity, compression, digest: wrong })
      await expect(buffer(opened)).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED', subject: key })
    }
  })

  test('stops being read back or opened when it is aborted', async () => {
    const { storage } = await openVault()
    const digest = await writeArtifact(storage, key, { recipients, compression }, put(randomBytes(8_000_000)))
    const reason = new Error('cancelled')
    const abort = new AbortController()
    const { signal } = abort
    const readingBack = readBackArtifact(storage, key, digest, { signal, onBytes: () => abort.abort(reason) })
    await expect(readingBack).rejects.toBe(reason)
    const late = new AbortController()
    const opened = await openArtifact(storage, key, { identity, compression, digest, signal: late.signal })
    const reading = buffer(opened)
    opened.once('data', () => late.abort(reason))
    await expect(reading).rejects.toBe(reason)
  })
})
