import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { Decrypter, Encrypter } from 'age-encryption'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { seal, unseal } from '../src/storage/age.ts'

const { identity, recipient } = generateIdentity()
const other = generateIdentity()
const chunk = 65_536
const sizes = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1, 700_001]

function pieces(bytes: Uint8Array, pieceBytes: number): Readable {
  const cut = []
  for (let start = 0; start < bytes.length; start += pieceBytes) cut.push(bytes.subarray(start, start + pieceBytes))
  return Readable.from(cut, { objectMode: false })
}

async function sealed(plain: Uint8Array, { recipients = [recipient], pieceBytes = 50_000 } = {}): Promise<Buffer> {
  return await buffer(pieces(plain, pieceBytes).pipe(seal(recipients).stream))
}

async function opened(bytes: Uint8Array, { key = identity, pieceBytes = 50_000 } = {}): Promise<Buffer> {
  return await buffer(pieces(bytes, pieceBytes).compose(unseal(key, 'points/1/object')))
}

describe('sealing in the age format', () => {
  test.each(sizes)('gives back %i bytes, whatever the pieces', async (sizeBytes) => {
    const plain = randomBytes(sizeBytes)
    for (const pieceBytes of [977, chunk, chunk + 16, 1_000_000]) {
      const bytes = await sealed(plain, { pieceBytes })
      expect((await opened(bytes, { pieceBytes })).equals(plain)).toBe(true)
    }
  })

  test('takes pieces of one byte', async () => {
    const plain = randomBytes(300)
    expect((await opened(await sealed(plain, { pieceBytes: 1 }), { pieceBytes: 1 })).equals(plain)).toBe(true)
  })

  test.each(sizes)('is understood by the age library both ways at %i bytes', async (sizeBytes) => {
    const plain = randomBytes(sizeBytes)
    const decrypter = new Decrypter()
    decrypter.addIdentity(identity)
    expect(Buffer.from(await decrypter.decrypt(await sealed(plain))).equals(plain)).toBe(true)
    const encrypter = new Encrypter()
    encrypter.addRecipient(other.recipient)
    encrypter.addRecipient(recipient)
    expect((await opened(await encrypter.encrypt(plain))).equals(plain)).toBe(true)
  })

  test('opens for each of several recipients and for nobody else', async () => {
    const plain = randomBytes(1000)
    const bytes = await sealed(plain, { recipients: [recipient, other.recipient] })
    expect((await opened(bytes)).equals(plain)).toBe(true)
    expect((await opened(bytes, { key: other.identity })).equals(plain)).toBe(true)
    const stranger = generateIdentity().identity
    await expect(opened(bytes, { key: stranger })).rejects.toMatchObject({ code: 'WRONG_KEY' })
    expect(() => seal([])).toThrow(RangeError)
  })

  test('never gives the same bytes twice', async () => {
    const plain = Buffer.alloc(100)
    expect((await sealed(plain)).subarray(-116)).not.toEqual((await sealed(plain)).subarray(-116))
  })
})

describe('a sealed stream that was changed', () => {
  const failure = { name: 'StorageError', subject: 'points/1/object' }

  test('fails wherever a bit is flipped', async () => {
    const bytes = await sealed(randomBytes(100))
    const stanzaEnd = bytes.indexOf('\n---')
    for (let position = 0; position < bytes.length; position++)
      for (const bit of [1, 0x20, 0x80]) {
        const flipped = Buffer.from(bytes)
        flipped.writeUInt8(flipped.readUInt8(position) ^ bit, position)
        const code = position < stanzaEnd ? expect.stringMatching(/^(WRONG_KEY|ARTIFACT_DAMAGED)$/) : 'ARTIFACT_DAMAGED'
        await expect(opened(flipped), `byte ${position}`).rejects.toMatchObject({ ...failure, code })
      }
  })

  test('fails wherever it is cut', async () => {
    const bytes = await sealed(randomBytes(3 * chunk))
    const ends = [...Array(300).keys(), bytes.length - 1, bytes.length - 16, bytes.length - 17]
    const header = bytes.length - 3 * (chunk + 16)
    for (const end of [...ends, header + chunk + 16, header + 2 * (chunk + 16), header + chunk, header + chunk + 17])
      await expect(opened(bytes.subarray(0, end)), `at ${end}`).rejects.toMatchObject({
        ...failure,
        code: 'ARTIFACT_DAMAGED',
      })
  })

  test.each([1, 16, chunk, chunk + 16, 200_000])('fails when %i bytes are added', async (sizeBytes) => {
    for (const plainBytes of [0, 10, chunk]) {
      const longer = Buffer.concat([await sealed(randomBytes(plainBytes)), randomBytes(sizeBytes)])
      await expect(opened(longer)).rejects.toMatchObject({ ...failure, code: 'ARTIFACT_DAMAGED' })
    }
  })

  test('fails when two of its chunks are swapped or one is repeated', async () => {
    const bytes = await sealed(randomBytes(3 * chunk))
    const start = bytes.length - 3 * (chunk + 16)
    const [head, one, two, three] = [0, start, start + chunk + 16, start + 2 * (chunk + 16)].map((from, position) =>
      bytes.subarray(from, position === 0 ? start : from + chunk + 16),
    )
    if (!head || !one || !two || !three) throw new Error('The stream has a header and three chunks.')
    for (const order of [
      [two, one, three],
      [one, one, two, three],
      [one, three],
      [one, two, three, three],
    ])
      await expect(opened(Buffer.concat([head, ...order]))).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
  })

  test('that is no age stream fails soon, however long it is', async () => {
    await expect(opened(randomBytes(100))).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
    let served = 0
    const endless = Readable.from(
      (function* () {
        for (;;) {
          served += 1
          yield Buffer.alloc(chunk, 'x')
        }
      })(),
    )
    await expect(buffer(endless.compose(unseal(identity)))).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
    expect(served).toBeLessThan(50)
  })
})

describe('the stock age program', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-age-'))
    await writeFile(join(folder, 'key'), `# a comment\n${identity}\n`)
  })
  afterEach(() => rm(folder, { recursive: true }))
  const age = (args: string[], input: Buffer) => execFileSync('age', args, { input, maxBuffer: 1e9 })

  test.each(sizes)('opens what is sealed here and seals what is opened here at %i bytes', async (sizeBytes) => {
    const plain = randomBytes(sizeBytes)
    const theirs = age(['-r', other.recipient, '-r', recipient], plain)
    expect((await opened(theirs)).equals(plain)).toBe(true)
    const ours = await sealed(plain, { recipients: [other.recipient, recipient] })
    expect(age(['-d', '-i', join(folder, 'key')], ours).equals(plain)).toBe(true)
  })
})
