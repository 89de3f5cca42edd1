import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Storage } from '../src/storage/contract.ts'
import { largestObjectBytes, planPart } from '../src/storage/s3/write/part-plan.ts'
import { s3Storage } from '../src/storage/s3.ts'
import { startS3Process } from './kit/s3-process.ts'
import { type S3Server, startS3Server } from './kit/s3-server.ts'
import type { S3Answer } from './kit/s3-store.ts'
import { put } from './kit/storage-contract.ts'

let server: S3Server
let storage: Storage
beforeEach(async () => {
  server = await startS3Server()
  storage = s3Storage(server.location())
})
afterEach(() => server[Symbol.asyncDispose]())

const megabyte = 1024 * 1024
const unfinished = (key: string) =>
  server.store.uploads.set(crypto.randomUUID(), { key, metadata: {}, parts: new Map() })

test('parts grow with the object, are no more than 10,000, and hold no more than 64 MiB at once', () => {
  const sizes = Array.from({ length: 10_000 }, (_, index) => planPart(index + 1))
  expect(planPart(10_001)).toBeUndefined()
  expect(sizes.reduce((sum, plan) => sum + (plan?.sizeBytes ?? 0), 0)).toBe(largestObjectBytes)
  expect(largestObjectBytes).toBe(504_000 * megabyte)
  for (const plan of sizes)
    expect((plan?.sizeBytes ?? 0) * (plan?.mostInFlight ?? 0)).toBeLessThanOrEqual(64 * megabyte)
})

test.each([8 * megabyte - 1, 8 * megabyte, 8 * megabyte + 1, 40 * megabyte])(
  'gives back %i bytes, sent in as many parts as they take',
  async (sizeBytes) => {
    const bytes = randomBytes(sizeBytes)
    await storage.write('object', put(bytes))
    expect((await buffer(await storage.read('object'))).equals(bytes)).toBe(true)
    const parts = server.asked.filter((operation) => operation === 'UploadPart').length
    expect(parts).toBe(sizeBytes < 8 * megabyte ? 0 : Math.ceil(sizeBytes / (8 * megabyte)))
    expect(server.everything()).toEqual(['object'])
  },
)

test('200 MB flow through in bounded memory', async () => {
  await using store = await startS3Process()
  const distant = s3Storage(store.location)
  const piece = randomBytes(megabyte)
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  await distant.write('object', async (sink) => {
    for (let written = 0; written < 200; written++) {
      if (!sink.write(piece)) await new Promise((resolve) => sink.once('drain', resolve))
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    sink.end()
  })
  expect(await distant.size('object')).toBe(200 * megabyte)
  // Four parts of 8 MiB on their way, one being filled, and what the sink holds.
  expect(most).toBeLessThan(64 * megabyte)
})

test('a store that overlooks conditions, or refuses them, is found out and used all the same', async () => {
  expect(await storage.probe()).toEqual({ conditionalCreate: true, largestObjectBytes })
  for (const conditions of ['IGNORED', 'REFUSED'] as const) {
    server.store.conditions = conditions
    const other = s3Storage(server.location())
    expect(await other.probe()).toEqual({ conditionalCreate: false, largestObjectBytes })
    await other.write(`${conditions}/small`, put('x'))
    await other.write(`${conditions}/large`, put(Buffer.alloc(9 * megabyte)))
    await expect(other.write(`${conditions}/small`, put('y'))).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' })
    // The other writer comes after the first look.
    const late = other.write(`${conditions}/late`, async (sink) => {
      await storage.write(`${conditions}/late`, put('first'))
      sink.end('second')
    })
    await expect(late).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' })
    expect((await buffer(await other.read(`${conditions}/late`))).toString()).toBe('first')
  }
  expect(server.everything().filter((key) => !/^(IGNORED|REFUSED)\/(small|large|late)$/.test(key))).toEqual([])
})

test('a folder is removed with thousands of objects, foreign names and uploads that were never completed', async () => {
  const object = { bytes: Buffer.alloc(0), sizeBytes: 0, etag: '"x"', metadata: {} }
  for (let number = 0; number < 2500; number++) server.store.objects.set(`folder/${number}`, object)
  for (const key of ['folder/', 'folder/.hidden', 'folder/a & b', 'folder/ä/x', 'folder-beside'])
    server.store.objects.set(key, object)
  server.store.pageSize = 1000
  for (let number = 0; number < 5; number++) unfinished(`folder/upload-${number % 2}`)
  unfinished('folder-beside')
  server.store.pageSize = 3
  await storage.removeAll('folder/').catch(() => undefined)
  server.store.pageSize = 1000
  await storage.removeAll('folder/')
  expect(server.everything()).toEqual(['folder-beside', 'folder-beside (unfinished)'])
})

test('foreign names are passed over in a list', async () => {
  const object = { bytes: Buffer.alloc(0), sizeBytes: 0, etag: '"x"', metadata: {} }
  for (const key of ['a/', 'a/.hidden', 'a/b c', 'a/one', 'a//x']) server.store.objects.set(key, object)
  expect(await Array.fromAsync(storage.list('a/'))).toEqual([{ key: 'a/one', sizeBytes: 0 }])
})

test('an abort in the middle of a large object leaves no part behind, and none after its end', async () => {
  for (const operation of ['UploadPart', 'CompleteMultipartUpload']) {
    const abort = new AbortController()
    const reason = new Error('cancelled')
    server.fail(operation, { kind: 'stalled' })
    const write = storage.write('object', put(Buffer.alloc(30 * megabyte)), { signal: abort.signal })
    await expect.poll(() => server.asked.includes(operation)).toBe(true)
    abort.abort(reason)
    await expect(write).rejects.toBe(reason)
    expect(server.everything()).toEqual([])
  }
})

test('an object that was made although its write was aborted is taken back', async () => {
  const abort = new AbortController()
  const change = (made: S3Answer) => {
    abort.abort(new Error('cancelled'))
    return made
  }
  server.fail('PutObject', { kind: 'changed', change })
  await expect(storage.write('object', put('x'), { signal: abort.signal })).rejects.toThrow('cancelled')
  expect(server.everything()).toEqual([])
})

test('a place that cannot be used says why', async () => {
  const at = (changes: Parameters<S3Server['location']>[0]) =>
    s3Storage(server.location(changes), { connectMs: 500, idleMs: 500, attempts: 2 })
  const wrong = [
    { storage: at({ bucket: 'elsewhere' }), code: 'STORAGE_UNREACHABLE' },
    { storage: at({ secretAccessKey: 'wrong' }), code: 'STORAGE_PERMISSION_DENIED' },
    { storage: at({ accessKeyId: 'UNKNOWN' }), code: 'STORAGE_PERMISSION_DENIED' },
    { storage: at({ region: 'us-east-1' }), code: 'STORAGE_PERMISSION_DENIED' },
    { storage: at({ endpoint: 'http://127.0.0.1:9' }), code: 'STORAGE_UNREACHABLE' },
    { storage: at({ endpoint: 'http://nowhere.invalid' }), code: 'STORAGE_UNREACHABLE' },
    { storage: at({ endpoint: server.endpoint.replace('http', 'https') }), code: 'STORAGE_UNREACHABLE' },
  ]
  for (const { storage: there, code } of wrong) {
    const operations = [
      () => there.prepare(),
      () => there.size('x'),
      () => there.read('x'),
      () => there.probe(),
      () => Array.fromAsync(there.list('')),
    ]
    for (const operation of operations) {
      await expect(operation(), there.description).rejects.toMatchObject({ name: 'StorageError', code })
    }
  }
})

test('no redirect is followed, whatever is asked', async () => {
  await storage.write('folder/object', put('x'))
  await using elsewhere = await startS3Server()
  const operations: Record<string, () => Promise<unknown>> = {
    HeadBucket: () => storage.prepare(),
    HeadObject: () => storage.size('folder/object'),
    GetObject: () => storage.read('folder/object'),
    ListObjectsV2: () => Array.fromAsync(storage.list('folder/')),
    PutObject: () => storage.write('other', put('y')),
    DeleteObject: () => storage.remove('folder/object'),
    ListMultipartUploads: () => storage.removeAll('folder/'),
  }
  for (const [operation, ask] of Object.entries(operations)) {
    for (const status of [301, 302, 307, 308]) {
      const headers = { location: `${elsewhere.endpoint}/backups/x`, 'x-amz-bucket-region': 'eu-other-1' }
      server.fail(operation, { kind: 'answer', answer: { status, headers } })
      await expect(ask(), `${operation} ${status}`).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    }
  }
  expect(elsewhere.asked).toEqual([])
  expect(server.everything()).toEqual(['folder/object'])
})

test('an upload whose beginning was answered in vain is swept with its folder', async () => {
  server.fail('CreateMultipartUpload', { kind: 'lost' })
  await storage.write('folder/object', put(Buffer.alloc(9 * megabyte)))
  expect(server.everything()).toEqual(['folder/object', 'folder/object (unfinished)'])
  await storage.removeAll('folder/')
  expect(server.everything()).toEqual([])
})
