import { describe, expect, test } from 'vitest'
import { blockEnd, blockStart, scanBlocks } from '../src/engine/archive/scan-blocks.ts'

const MiB = 1024 * 1024

/** A block of these chunks as it is in an archive, and where each of them ends there. */
function blockOf(chunks: readonly string[]) {
  const parts = [blockStart(7)]
  const ends: number[] = []
  let position = blockStart(7).length
  for (const chunk of chunks) {
    const head = Buffer.alloc(5)
    head.writeUInt32LE(chunk.length, 1)
    parts.push(head, Buffer.from(chunk))
    position += 5 + chunk.length
    ends.push(position)
  }
  return { bytes: Buffer.concat([...parts, blockEnd]), ends }
}

/** Where rows may be told apart, found in pieces of that size. */
function cutsIn(bytes: Buffer, pieceBytes: number): number[] {
  const cuts: number[] = []
  const listener = { onBlock() {}, onEnd() {}, onCut: (position: number) => void cuts.push(position) }
  const scan = scanBlocks({ sizeBytes: 0, isCompressed: false }, listener)
  for (let at = 0; at < bytes.length; at += pieceBytes) scan(bytes.subarray(at, at + pieceBytes))
  return cuts
}

describe('Rows are told apart', () => {
  const row = `${'x'.repeat(MiB)}\n`
  const closing = '\\.\n\n\n'

  test.for([3 * MiB, 65_536, 8191])('where a chunk ends that ends a row, read in pieces of %i bytes', (pieceBytes) => {
    const { bytes, ends } = blockOf([row, 'half a ', 'row\n', row, closing])
    expect(cutsIn(bytes, pieceBytes)).toEqual([ends[0], ends[3]])
    const tiny = blockOf([row, '1\n', '2\n', closing])
    expect(cutsIn(tiny.bytes, pieceBytes)).toEqual([tiny.ends[0]])
  })

  test('never within the line that closes them, wherever chunks end', () => {
    for (let first = 1; first <= closing.length; first++) {
      for (let second = first; second <= closing.length; second++) {
        const rest = [closing.slice(first, second), closing.slice(second)].filter((chunk) => chunk !== '')
        const { bytes, ends } = blockOf([`${row}${closing.slice(0, first)}`, ...rest])
        const within = cutsIn(bytes, 65_536).filter((cut) => cut !== ends.at(-1))
        expect(within, JSON.stringify([closing.slice(0, first), ...rest])).toEqual([])
      }
    }
  })
})
