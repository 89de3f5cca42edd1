import { randomBytes } from 'node:crypto'
import type { Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Storage } from '../src/storage/contract.ts'
import { s3Storage } from '../src/storage/s3.ts'
import { type Fault, type S3Server, secretAccessKey, startS3Server } from './kit/s3-server.ts'
import { failed } from './kit/s3-store.ts'
import { put } from './kit/storage-contract.ts'

const impatient = { connectMs: 1000, idleMs: 400, attempts: 3 }
const key = 'points/one/0001.dump.age'

let server: S3Server
let storage: Storage
beforeEach(async () => {
  server = await startS3Server()
  storage = s3Storage(server.location(), impatient)
})
afterEach(() => server[Symbol.asyncDispose]())

const answer = (status: number, code: string): Fault => ({ kind: 'answer', answer: failed(status, code) })
const cut: Fault = { kind: 'cut' }
const lost: Fault = { kind: 'lost' }
const stalled: Fault = { kind: 'stalled' }
const errorInSuccess: Fault = answer(200, 'InternalError')
const redirect: Fault = {
  kind: 'answer',
  answer: { ...failed(307, 'TemporaryRedirect'), headers: { location: 'http://127.0.0.1:9/elsewhere' } },
}
const small = randomBytes(1000)
const large = randomBytes(20_000_000)

/** Writes in pieces, as a dump comes. */
function dump(bytes: Buffer): (sink: Writable) => Promise<void> {
  return async (sink) => {
    for (let start = 0; start < bytes.length; start += 500_000) {
      if (!sink.write(bytes.subarray(start, start + 500_000)))
        await new Promise((resolve) => sink.once('drain', resolve))
    }
    sink.end()
  }
}

const written = { small, large }
const read = async () => await buffer(await storage.read(key))

describe('a fault that passes', () => {
  test.each([
    ['small', 'HeadObject', answer(500, 'InternalError')],
    ['small', 'HeadObject', cut],
    ['small', 'PutObject', answer(500, 'InternalError')],
    ['small', 'PutObject', answer(503, 'SlowDown')],
    ['small', 'PutObject', cut],
    ['small', 'PutObject', lost],
    ['small', 'PutObject', stalled],
    ['small', 'PutObject', errorInSuccess],
    ['large', 'CreateMultipartUpload', answer(503, 'ServiceUnavailable')],
    ['large', 'UploadPart', answer(500, 'InternalError')],
    ['large', 'UploadPart', answer(503, 'SlowDown')],
    ['large', 'UploadPart', cut],
    ['large', 'UploadPart', lost],
    ['large', 'UploadPart', stalled],
    ['large', 'CompleteMultipartUpload', errorInSuccess],
    ['large', 'CompleteMultipartUpload', lost],
    ['large', 'CompleteMultipartUpload', stalled],
    ['large', 'CompleteMultipartUpload', { kind: 'answer', answer: { status: 200 } }],
  ] as const)('does not keep a %s object from being written: %s %o', async (size, operation, fault) => {
    server.fail(operation, fault)
    await storage.write(key, dump(written[size]))
    expect((await read()).equals(written[size])).toBe(true)
    expect(server.everything()).toEqual([key])
  })

  test.each([['cut'], ['stalled']] as const)('does not end a read as if it were whole: %s', async (kind) => {
    await storage.write(key, dump(large))
    server.fail('GetObject', { kind }, { times: 5 })
    expect((await read()).equals(large)).toBe(true)
    expect(await buffer(await storage.read(key, { start: 10, end: 2_000_000 }))).toEqual(large.subarray(10, 2_000_000))
  })
})

describe('a fault that stays', () => {
  test.each([
    ['small', 'HeadObject', answer(500, 'InternalError'), 'STORAGE_FAILED'],
    ['small', 'HeadObject', answer(403, 'AccessDenied'), 'STORAGE_PERMISSION_DENIED'],
    ['small', 'PutObject', answer(503, 'SlowDown'), 'STORAGE_UNREACHABLE'],
    ['small', 'PutObject', cut, 'STORAGE_UNREACHABLE'],
    ['small', 'PutObject', stalled, 'STORAGE_UNREACHABLE'],
    ['small', 'PutObject', errorInSuccess, 'STORAGE_FAILED'],
    ['small', 'PutObject', redirect, 'STORAGE_UNREACHABLE'],
    ['small', 'PutObject', answer(507, 'InsufficientStorage'), 'STORAGE_FULL'],
    ['small', 'PutObject', { kind: 'answer', answer: { status: 200, headers: { etag: '"x"' } } }, 'STORAGE_FAILED'],
    ['large', 'CreateMultipartUpload', answer(403, 'AccessDenied'), 'STORAGE_PERMISSION_DENIED'],
    ['large', 'UploadPart', answer(500, 'InternalError'), 'STORAGE_FAILED'],
    ['large', 'UploadPart', answer(400, 'BadDigest'), 'STORAGE_FAILED'],
    ['large', 'UploadPart', answer(404, 'NoSuchUpload'), 'STORAGE_FAILED'],
    ['large', 'CompleteMultipartUpload', answer(409, 'ConditionalRequestConflict'), 'STORAGE_FAILED'],
    ['large', 'UploadPart', redirect, 'STORAGE_UNREACHABLE'],
    ['large', 'UploadPart', cut, 'STORAGE_UNREACHABLE'],
    ['large', 'CompleteMultipartUpload', errorInSuccess, 'STORAGE_FAILED'],
    ['large', 'CompleteMultipartUpload', answer(400, 'InvalidPart'), 'STORAGE_FAILED'],
  ] as const)('fails the write of a %s object and leaves nothing: %s %o', async (size, operation, fault, code) => {
    server.fail(operation, fault, { times: 100 })
    await expect(storage.write(key, dump(written[size]))).rejects.toMatchObject({ code })
    expect(server.everything()).toEqual([])
  })

  test('fails a write whose part the store holds otherwise', async () => {
    const change: Fault = {
      kind: 'changed',
      change: (made) => ({ ...made, headers: { ...made.headers, 'x-amz-checksum-sha256': 'AAAA' } }),
    }
    server.fail('UploadPart', change, { passing: 1 })
    await expect(storage.write(key, dump(large))).rejects.toMatchObject({ code: 'STORAGE_FAILED', subject: key })
    expect(server.everything()).toEqual([])
  })

  test('fails a read that breaks off again and again at the same byte', async () => {
    await storage.write(key, put(small))
    const short: Fault = { kind: 'changed', change: (made) => ({ ...made, body: '' }) }
    server.fail('GetObject', short, { times: 100 })
    await expect(read()).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE', subject: key })
  })

  test('fails a read of an object that is replaced meanwhile, and of a store that answers another part', async () => {
    await storage.write(key, dump(large))
    server.fail('GetObject', cut)
    server.fail('GetObject', answer(412, 'PreconditionFailed'), { passing: 0 })
    await expect(read()).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    const whole: Fault = { kind: 'changed', change: ({ body = '' }) => ({ status: 200, body }) }
    server.fail('GetObject', whole)
    await expect(storage.read(key, { start: 5, end: 9 })).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
  })

  test('makes a list an error, never a shorter list', async () => {
    server.store.pageSize = 2
    for (const name of ['a', 'b', 'c', 'd', 'e']) await storage.write(name, put(name))
    const list = () => Array.fromAsync(storage.list(''))
    const dropped = (pattern: RegExp): Fault => ({
      kind: 'changed',
      change: (made) => ({ ...made, headers: {}, body: String(made.body).replace(pattern, '') }),
    })
    const faults: Fault[] = [
      dropped(/<NextContinuationToken>.*<\/NextContinuationToken>/),
      dropped(/<IsTruncated>.*<\/IsTruncated>/),
      dropped(/<Contents>.*?<\/Contents>/),
      answer(404, 'NoSuchBucket'),
      answer(403, 'AccessDenied'),
      { kind: 'answer', answer: { status: 200, body: '' } },
      { kind: 'answer', answer: { status: 200, body: '<html>A captive portal</html>' } },
      redirect,
    ]
    for (const fault of faults) {
      server.fail('ListObjectsV2', fault, { passing: 1 })
      await expect(list(), JSON.stringify(fault)).rejects.toMatchObject({ code: /^STORAGE_/, name: 'StorageError' })
    }
    server.fail('ListObjectsV2', cut, { passing: 2 })
    expect(await list()).toHaveLength(5)
  })

  test('makes the removal of a folder an error when a single object stays', async () => {
    for (const name of ['a', 'b', 'c']) await storage.write(`folder/${name}`, put(name))
    const denied =
      '<DeleteResult><Deleted><Key>folder/a</Key></Deleted><Error><Key>folder/b</Key><Code>AccessDenied</Code></Error></DeleteResult>'
    server.fail('DeleteObjects', { kind: 'answer', answer: { status: 200, body: denied } })
    await expect(storage.removeAll('folder/')).rejects.toMatchObject({ code: 'STORAGE_PERMISSION_DENIED' })
    server.fail('DeleteObjects', { kind: 'answer', answer: { status: 200, body: '<DeleteResult></DeleteResult>' } })
    await expect(storage.removeAll('folder/')).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
    await storage.removeAll('folder/')
    expect(server.everything()).toEqual([])
  })

  test('is never told with the secret access key', async () => {
    const echo = {
      ...failed(403, 'SignatureDoesNotMatch'),
      body: `<Error><Code>SignatureDoesNotMatch</Code><Message>You signed with ${secretAccessKey}</Message></Error>`,
    }
    server.fail('HeadObject', { kind: 'answer', answer: echo }, { times: 2 })
    server.fail('ListObjectsV2', { kind: 'answer', answer: echo })
    const error = await Array.fromAsync(storage.list('')).catch((cause: Error) => cause)
    expect(error).toMatchObject({ code: 'STORAGE_PERMISSION_DENIED' })
    const told = JSON.stringify(error, Object.getOwnPropertyNames(error))
    expect(told).toContain('You signed with')
    expect(told).not.toContain(secretAccessKey.slice(0, 12))
    expect(storage.description).not.toContain(secretAccessKey.slice(0, 12))
  })
})

describe('a replacement by bytes of the same size, where the store keeps nothing but bytes', () => {
  const other = randomBytes(small.length)
  beforeEach(async () => {
    await storage.write(key, put(small))
    const bare: Fault = {
      kind: 'changed',
      change: ({ headers = {}, ...made }) => {
        const kept = Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-meta-'))
        return { ...made, headers: Object.fromEntries(kept) }
      },
    }
    server.fail('HeadObject', bare, { times: 100 })
  })

  test('fails when the store refuses it', async () => {
    server.fail('PutObject', answer(403, 'AccessDenied'), { times: 100 })
    await expect(storage.replace(key, other)).rejects.toMatchObject({ code: 'STORAGE_PERMISSION_DENIED' })
    expect((await read()).equals(small)).toBe(true)
  })

  test('fails when the store says yes and has not done it', async () => {
    server.fail('PutObject', { kind: 'answer', answer: { status: 200, headers: { etag: '"x"' } } })
    await expect(storage.replace(key, other)).rejects.toMatchObject({ code: 'STORAGE_FAILED', subject: key })
  })

  test('is done when only the answers were lost', async () => {
    server.fail('PutObject', lost, { times: 100 })
    await storage.replace(key, other)
    expect((await read()).equals(other)).toBe(true)
  })
})

test('a read that nobody ends leaves no connection waiting', async () => {
  await storage.write(key, dump(large))
  const source = await storage.read(key)
  await expect(
    pipeline(source, async (pieces) => {
      for await (const _ of pieces) throw new Error('enough')
    }),
  ).rejects.toThrow('enough')
  expect((await read()).equals(large)).toBe(true)
})
