import type { Toc } from './read-toc.ts'

const dataBlock = 1
const largeObjectsBlock = 3
const integerBytes = 5
const lineFeed = 0x0a

/** The lines after the last row: the end of a COPY, and two empty ones. */
const closingBytes = '\\.\n\n\n'.length

/** How far rows are apart at least where they are told apart. */
const leastBetweenCuts = 1024 * 1024

export interface BlockListener {
  /** A block begins: whose data it is, and at which byte of the archive. */
  onBlock(dumpId: number, position: number): void
  /** In the block that began last, a row has ended before this byte, and another chunk begins there: of rows, or of what closes them. */
  onCut(position: number): void
  /** The block that began last has ended before this byte. */
  onEnd(position: number): void
}

/** What ends a block: a chunk of no bytes. */
export const blockEnd = Buffer.alloc(integerBytes)

/** What begins the block of an entry's rows. */
export function blockStart(dumpId: number): Buffer {
  const bytes = Buffer.alloc(1 + integerBytes)
  bytes.writeUInt8(dataBlock)
  bytes.writeUInt32LE(dumpId, 2)
  return bytes
}

/**
 * Follows the data of an archive, handed over piece by piece from the end of its table of contents, and tells where
 * blocks begin and end; where pg_dump did not compress them, also where rows end, every MiB or so. Throws when the data are laid out otherwise.
 */
export function scanBlocks(
  { sizeBytes, isCompressed }: Pick<Toc, 'sizeBytes' | 'isCompressed'>,
  listener: BlockListener,
): (piece: Buffer) => void {
  let expected: 'BLOCK' | 'CHUNK' | 'LARGE_OBJECT' = 'BLOCK'
  let holdsLargeObjects = false
  let toSkip = 0
  let position = sizeBytes
  let cutAt = 0
  /** Where a row may have ended, and how much of the block is known to follow it. */
  let pending: { at: number; followedBy: number } | undefined
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
      cutAt = position
      pending = undefined
      listener.onBlock(bytes.readUInt32LE(at + 2), position)
      return size
    }
    const value = bytes.readUInt32LE(at + 1)
    const isEnd = value === 0
    if (isEnd && holdsLargeObjects === (expected === 'LARGE_OBJECT')) {
      expected = 'BLOCK'
      listener.onEnd(position + size)
    } else if (expected === 'LARGE_OBJECT') expected = 'CHUNK'
    else if (isEnd) expected = 'LARGE_OBJECT'
    else {
      toSkip = value
      settlePending(value)
    }
    return size
  }

  /**
   * A row of text never holds a line feed but at its end, which is why one that ends a chunk ends a row, or is of the lines after the
   * last one: those are not taken apart, as what follows is shorter than they are.
   */
  const settlePending = (following: number) => {
    if (!pending) return
    pending.followedBy += following
    if (pending.followedBy < closingBytes) return
    listener.onCut(pending.at)
    pending = undefined
  }

  /** Goes over bytes of a chunk. */
  const skip = (bytes: Buffer, at: number): number => {
    const skipped = Math.min(toSkip, bytes.length - at)
    toSkip -= skipped
    const after = position + skipped
    const mayCut = toSkip === 0 && !isCompressed && !holdsLargeObjects && after - cutAt >= leastBetweenCuts
    if (mayCut && bytes[at + skipped - 1] === lineFeed) {
      cutAt = after
      pending = { at: after, followedBy: 0 }
    }
    return skipped
  }

  /** Goes over whole chunks of rows, of which there may be millions, and answers how many bytes those took. */
  const skipRows = (bytes: Buffer, from: number): number => {
    if (expected !== 'CHUNK' || holdsLargeObjects || toSkip > 0 || pending) return 0
    const cutsFrom = isCompressed ? Number.POSITIVE_INFINITY : from + leastBetweenCuts - (position - cutAt)
    let at = from
    while (at + integerBytes < bytes.length) {
      const end = at + integerBytes + bytes.readUInt32LE(at + 1)
      // What ends the block, what is not all there and what may end a share is looked at one by one.
      if (end === at + integerBytes || end > bytes.length || end >= cutsFrom) break
      at = end
    }
    return at - from
  }

  return (piece) => {
    const bytes = held.length > 0 ? Buffer.concat([held, piece]) : piece
    let at = 0
    while (at < bytes.length) {
      const taken = skipRows(bytes, at) || (toSkip > 0 ? skip(bytes, at) : read(bytes, at))
      if (taken === 0) break
      at += taken
      position += taken
    }
    held = Buffer.from(bytes.subarray(at))
  }
}
