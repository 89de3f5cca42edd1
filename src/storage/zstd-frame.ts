import { StorageError } from './storage-error.ts'

/** A run of bytes of one frame; `isEnd` when the frame ends with it. */
export interface FramePart {
  bytes: Buffer
  isEnd: boolean
}

export interface FrameScanner {
  /** Cuts a piece of the stream at the ends of its frames. */
  scan(piece: Buffer): Iterable<FramePart>
  /** Whether the stream may end here: at least one frame, and the last one whole. */
  isComplete(): boolean
}

type Field = 'magic' | 'descriptor' | 'header' | 'block' | 'content' | 'checksum' | 'skipSize' | 'skipContent'

/**
 * Follows the frames of a zstd stream (RFC 8878) by their headers and block sizes, without decoding them.
 * Node's own decoder stops silently after the first frame, so the ends have to be known.
 */
export function frameScanner(subject: string): FrameScanner {
  let field: Field = 'magic'
  let left = 4
  let value = 0
  let shift = 0
  let hasChecksum = false
  let isLastBlock = false
  let frames = 0

  const expect = (next: Field, bytes: number) => {
    field = next
    left = bytes
    value = 0
    shift = 0
  }

  const endsFrame = (): boolean => {
    switch (field) {
      case 'magic':
        if (value === 0xfd2fb528) expect('descriptor', 1)
        else if ((value & 0xfffffff0) >>> 0 === 0x184d2a50) expect('skipSize', 4)
        else throw new StorageError('ARTIFACT_DAMAGED', subject, `${subject} is not a zstd stream.`)
        return false
      case 'descriptor':
        hasChecksum = (value & 4) !== 0
        expect('header', headerBytes(value))
        return left === 0 && endsFrame()
      case 'header':
        expect('block', 3)
        return false
      case 'block':
        isLastBlock = (value & 1) !== 0
        expect('content', ((value >> 1) & 3) === 1 ? 1 : value >> 3)
        return left === 0 && endsFrame()
      case 'content':
        if (!isLastBlock) expect('block', 3)
        else if (hasChecksum) expect('checksum', 4)
        else return true
        return false
      case 'skipSize':
        expect('skipContent', value)
        return left === 0
      case 'checksum':
      case 'skipContent':
        return true
    }
  }

  return {
    *scan(piece) {
      let start = 0
      let position = 0
      while (position < piece.length) {
        const taken = Math.min(left, piece.length - position)
        if (field !== 'content' && field !== 'skipContent')
          for (let offset = 0; offset < taken; offset++, shift += 8)
            if (shift < 32) value = (value | (piece.readUInt8(position + offset) << shift)) >>> 0
        position += taken
        left -= taken
        if (left > 0 || !endsFrame()) continue
        yield { bytes: piece.subarray(start, position), isEnd: true }
        frames += 1
        start = position
        expect('magic', 4)
      }
      if (start < position) yield { bytes: piece.subarray(start), isEnd: false }
    },
    isComplete: () => frames > 0 && field === 'magic' && left === 4,
  }
}

/** How many bytes a whole frame says it opens to; undefined when it does not, or is one to skip. */
export function plainSize(frame: Buffer): number | undefined {
  if (frame.readUInt32LE(0) !== 0xfd2fb528) return undefined
  const descriptor = frame.readUInt8(4)
  const bytes = contentSizeBytes(descriptor)
  if (bytes === 0) return undefined
  const at = 5 + headerBytes(descriptor) - bytes
  if (bytes === 8) return Number(frame.readBigUInt64LE(at))
  // Two bytes count from where one ends.
  return frame.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0)
}

/** Bytes between the frame header's descriptor and the first block. */
function headerBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0
  const dictionaryId = [0, 1, 2, 4][descriptor & 3] ?? 0
  return (isSingleSegment ? 0 : 1) + dictionaryId + contentSizeBytes(descriptor)
}

function contentSizeBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0
  return [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
}
