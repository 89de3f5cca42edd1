import type { Toc } from './read-toc.ts'

const dataBlock = 1
const largeObjectsBlock = 3
const integerBytes = 5

/**
 * Follows the data of an archive, handed over piece by piece from the end of its table of contents, and tells of each
 * block whose data it is and at which byte of the archive it begins. Throws when the data are laid out otherwise.
 */
export function scanBlocks(
  { sizeBytes }: Pick<Toc, 'sizeBytes'>,
  onBlock: (dumpId: number, position: number) => void,
): (piece: Buffer) => void {
  let expected: 'BLOCK' | 'CHUNK' | 'LARGE_OBJECT' = 'BLOCK'
  let holdsLargeObjects = false
  let toSkip = 0
  let position = sizeBytes
  let held = Buffer.alloc(0)

  /** Reads the head of what comes next and answers how many bytes it took; 0 when it is cut off. */
  const read = (bytes: Buffer, at: number): number => {
    const size = expected === 'BLOCK' ? 1 + integerBytes : integerBytes
    if (bytes.length - at < size) return 0
    if (expected === 'BLOCK') {
      const kind = bytes.readUInt8(at)
      if (kind !== dataBlock && kind !== largeObjectsBlock) throw new Error(`A block of kind ${kind} is not known.`)
      holdsLargeObjects = kind === largeObjectsBlock
      expected = holdsLargeObjects ? 'LARGE_OBJECT' : 'CHUNK'
      onBlock(bytes.readUInt32LE(at + 2), position)
    } else if (expected === 'LARGE_OBJECT') {
      expected = bytes.readUInt32LE(at + 1) === 0 ? 'BLOCK' : 'CHUNK'
    } else {
      toSkip = bytes.readUInt32LE(at + 1)
      if (toSkip === 0) expected = holdsLargeObjects ? 'LARGE_OBJECT' : 'BLOCK'
    }
    return size
  }

  return (piece) => {
    const bytes = held.length > 0 ? Buffer.concat([held, piece]) : piece
    let at = 0
    while (at < bytes.length) {
      const skipped = Math.min(toSkip, bytes.length - at)
      toSkip -= skipped
      const taken = skipped || read(bytes, at)
      if (taken === 0) break
      at += taken
      position += taken
    }
    held = Buffer.from(bytes.subarray(at))
  }
}
