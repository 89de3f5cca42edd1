import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { spent } from '../src/spent-bytes.ts'
import { compress, decompress } from '../src/storage/zstd.ts'

const zstd = (args: string[], input: Buffer) => execFileSync('zstd', args, { input, maxBuffer: 1e9 })

function pieces(bytes: Buffer, pieceBytes: number): Readable {
  const cut = []
  for (let start = 0; start < bytes.length; start += pieceBytes) cut.push(bytes.subarray(start, start + pieceBytes))
  return Readable.from(cut, { objectMode: false })
}

/** Text like that of COPY: repetitive, but not only. */
function copyText(sizeBytes: number): Buffer {
  const line = (row: number) => `${row}\tname ${row % 97}\t${randomBytes(6).toString('hex')}\tt\n`
  return Buffer.from(Array.from({ length: sizeBytes / 20 }, (_, row) => line(row)).join('')).subarray(0, sizeBytes)
}

async function compressed(plain: Buffer, { pieceBytes = 65_536, frameBytes = 100_000, inFlight = 3 } = {}) {
  return await buffer(pieces(plain, pieceBytes).compose(compress({ frameBytes, inFlight })))
}

async function decompressed(bytes: Buffer, pieceBytes = 65_536): Promise<Buffer> {
  return await buffer(pieces(bytes, pieceBytes).compose(decompress('points/1/object')))
}

describe('compressing', () => {
  test.each([0, 1, 99_999, 100_000, 100_001, 1_234_567])(
    'gives back %i bytes, here and from the stock program',
    async (sizeBytes) => {
      const plain = copyText(sizeBytes)
      const bytes = await compressed(plain)
      expect((await decompressed(bytes)).equals(plain)).toBe(true)
      expect(zstd(['-dc'], bytes).equals(plain)).toBe(true)
      if (sizeBytes > 1000) expect(bytes.length).toBeLessThan(sizeBytes * 0.7)
    },
  )

  test('takes pieces of every size, and one frame at a time too', async () => {
    const plain = copyText(500_000)
    for (const pieceBytes of [1_001, 99_999, 100_000, 350_000, 500_000])
      for (const inFlight of [1, 4])
        expect((await decompressed(await compressed(plain, { pieceBytes, inFlight }))).equals(plain)).toBe(true)
  })

  test('holds only a bounded part of what it is given, however slow the reader', async () => {
    let served = 0
    const endless = new Readable({
      read() {
        served += 65_536
        this.push(randomBytes(65_536))
      },
    })
    const stream = endless.pipe(compress({ frameBytes: 262_144, inFlight: 2 }))
    const { promise: settled, resolve } = Promise.withResolvers<void>()
    let seen = -1
    const look = setInterval(() => {
      if (seen === served) resolve()
      seen = served
    }, 100)
    await settled
    clearInterval(look)
    expect(served).toBeLessThan(6_000_000)
    stream.destroy()
    endless.destroy()
  })
})

describe('decompressing', () => {
  const plain = copyText(200_000)

  test('reads streams of the stock program: long windows, many frames, skippable ones, no sizes, no checksums', async () => {
    const skipFrame = Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from('hello')])
    const streams = [
      zstd(['-c', '-19', '--long=27'], plain),
      zstd(['-c', '--no-check', '-1'], plain),
      zstd(['-c', '--no-content-size'], plain),
      Buffer.concat([skipFrame, zstd(['-c'], plain), skipFrame]),
      zstdCompressSync(plain),
    ]
    for (const stream of streams)
      for (const pieceBytes of [7, 1000, 1_000_000])
        expect((await decompressed(stream, pieceBytes)).equals(plain)).toBe(true)
    const joined = Buffer.concat([...streams, zstd(['-c'], Buffer.alloc(0)), ...streams])
    expect((await decompressed(joined)).length).toBe(plain.length * streams.length * 2)
  })

  test('reads runs of one byte and blocks that could not be compressed', async () => {
    const mixed = Buffer.concat([Buffer.alloc(1_000_000, 'a'), randomBytes(300_000), Buffer.alloc(5)])
    expect((await decompressed(await compressed(mixed), 501)).equals(mixed)).toBe(true)
  })

  test('fails wherever the stream is cut', async () => {
    const bytes = await compressed(copyText(250_000))
    for (let end = 0; end < bytes.length; end += end < 60 || end > bytes.length - 60 ? 1 : 997) {
      const cut = bytes.subarray(0, end)
      const failure = { code: 'ARTIFACT_DAMAGED', subject: 'points/1/object' }
      // A cut between two frames is a shorter stream, which only the digest can tell.
      const short = await decompressed(cut).catch((error) => void expect(error).toMatchObject(failure))
      if (short) expect(short.length > 0 && short.length % 100_000 === 0).toBe(true)
    }
  })

  test('never answers other bytes when a bit is flipped', async () => {
    const text = copyText(20_000)
    const bytes = await compressed(text, { frameBytes: 5000 })
    let failures = 0
    for (let position = 0; position < bytes.length; position += 13) {
      const flipped = Buffer.from(bytes)
      flipped.writeUInt8(flipped.readUInt8(position) ^ 4, position)
      // Some bits of the format mean nothing: then the same bytes come out.
      const plainAgain = await decompressed(flipped).catch((error) => {
        expect(error).toMatchObject({ code: 'ARTIFACT_DAMAGED' })
        failures += 1
      })
      expect(plainAgain?.equals(text) ?? true).toBe(true)
    }
    expect(failures).toBeGreaterThan(bytes.length / 13 / 2)
  })

  test('fails when other bytes follow or nothing is there', async () => {
    const bytes = await compressed(plain)
    for (const damaged of [
      Buffer.concat([bytes, Buffer.from('x')]),
      Buffer.concat([bytes, randomBytes(50)]),
      Buffer.alloc(0),
    ])
      await expect(decompressed(damaged)).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
  })

  test('holds only a bounded part of a stream that grows a thousandfold', async () => {
    const bomb = await compressed(Buffer.alloc(200_000_000), { frameBytes: 50_000_000 })
    expect(bomb.length).toBeLessThan(100_000)
    const before = process.memoryUsage().arrayBuffers
    let plainBytes = 0
    let highest = 0
    for await (const piece of pieces(bomb, 1_000_000).compose(decompress())) {
      plainBytes += piece.length
      highest = Math.max(highest, process.memoryUsage().arrayBuffers - before)
    }
    expect(plainBytes).toBe(200_000_000)
    expect(highest).toBeLessThan(150_000_000)
  })

  test('holds only a bounded part of many small frames that grow a thousandfold, however slow the reader', async () => {
    const frame = zstdCompressSync(Buffer.alloc(2 * 1024 * 1024), { pledgedSrcSize: 2 * 1024 * 1024 })
    const bomb = Buffer.concat(Array.from({ length: 300 }, () => frame))
    const before = process.memoryUsage().arrayBuffers
    let plainBytes = 0
    let highest = 0
    for await (const piece of pieces(bomb, 1_000_000).compose(decompress())) {
      plainBytes += piece.length
      highest = Math.max(highest, process.memoryUsage().arrayBuffers - before)
      // Given back at once, so that it is seen what is held and not what the garbage collector has left.
      spent(piece)
    }
    expect(plainBytes).toBe(300 * 2 * 1024 * 1024)
    expect(highest).toBeLessThan(150_000_000)
  })

  test('keeps the order of frames of every kind and size, small, large, of unknown size, skipped and empty', async () => {
    const parts = [10, 2_000_000, 2_097_152, 2_097_153, 5_000_000, 0, 1, 255, 256, 300, 65_791, 65_792].map((size) =>
      randomBytes(size),
    )
    const skipped = Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from('hello')])
    const frames = parts.flatMap((part, index) => [
      zstdCompressSync(part, { pledgedSrcSize: part.length }),
      ...(index % 3 === 0 ? [skipped, zstd(['-c', '--no-content-size'], part)] : []),
    ])
    const plain = Buffer.concat(parts.flatMap((part, index) => (index % 3 === 0 ? [part, part] : [part])))
    for (const pieceBytes of [999, 65_536, 4_000_000])
      expect((await decompressed(Buffer.concat(frames), pieceBytes)).equals(plain)).toBe(true)
  })

  test('takes a frame for damaged that opens to another size than it says', async () => {
    const bytes = zstdCompressSync(copyText(1000), { pledgedSrcSize: 1000 })
    const sizeAt = bytes.indexOf(Buffer.from([(1000 - 256) & 0xff, (1000 - 256) >> 8]))
    for (const size of [0, 100, 743, 745, 60_000]) {
      const lying = Buffer.from(bytes)
      lying.writeUInt16LE(size, sizeAt)
      await expect(decompressed(lying)).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED' })
    }
  })

  test('ends when its reader goes away in the middle', async () => {
    const source = pieces(await compressed(copyText(3_000_000)), 10_000)
    const stream = source.compose(decompress())
    for await (const _piece of stream) break
    expect(stream.destroyed).toBe(true)
  })
})
