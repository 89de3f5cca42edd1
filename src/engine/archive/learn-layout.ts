import { readToc, type Toc } from './read-toc.ts'
import { blockStart, scanBlocks } from './scan-blocks.ts'

const firstLookBytes = 64 * 1024
const mostTocBytes = 512 * 1024 * 1024

/** The data of one entry, as far as they have passed. */
export interface Block {
  start: number
  /** Before which bytes rows end. */
  cuts: number[]
  /** How many of the cuts have been handed out, and up to which byte rows have. */
  taken: number
  takenTo: number
  /** Undefined while it goes on. */
  end?: number
}

export interface Layout {
  toc: Toc | undefined
  /** By the number of the entry whose data they are. */
  blocks: ReadonlyMap<number, Block>
  /** Up to which byte the archive has been looked at. */
  scanned: number
  hasEnded: boolean
  /**
   * It is not laid out as expected. Where that shows before its table of contents was asked for pg_restore is left to judge it;
   * where it shows later, reading what follows ends in ARCHIVE_UNREADABLE.
   */
  isUnknown: boolean
}

/** Learns how an archive is laid out while its pieces pass; never throws. */
export function learnLayout(): { learn: (piece: Buffer, isEnd: boolean) => void; look: () => Layout } {
  const blocks = new Map<number, Block>()
  let last: Block | undefined
  let start: Buffer[] = []
  let lookAt = firstLookBytes
  let scan: ((piece: Buffer) => void) | undefined
  const layout: Layout = { toc: undefined, blocks, scanned: 0, hasEnded: false, isUnknown: false }

  const follow = (piece: Buffer, isEnd: boolean) => {
    if (scan) return scan(piece)
    // The piece is its owner's, who lets go of it.
    start.push(Buffer.from(piece))
    if (layout.scanned < lookAt && !isEnd) return
    lookAt = layout.scanned * 2
    const bytes = Buffer.concat(start)
    const toc = readToc(bytes)
    if (!toc && bytes.length > mostTocBytes) throw new Error('It goes on too long.')
    if (!toc) return
    layout.toc = toc
    scan = scanBlocks(toc, {
      onBlock(dumpId, position) {
        last = { start: position, cuts: [], taken: 0, takenTo: position + blockStart(dumpId).length }
        blocks.set(dumpId, last)
      },
      onCut: (position) => void last?.cuts.push(position),
      onEnd(position) {
        if (last) last.end = position
      },
    })
    scan(bytes.subarray(toc.sizeBytes))
    start = []
  }
  return {
    learn(piece, isEnd) {
      layout.scanned += piece.length
      layout.hasEnded = isEnd
      if (layout.isUnknown) return
      try {
        follow(piece, isEnd)
        layout.isUnknown = isEnd && !layout.toc
      } catch {
        layout.isUnknown = true
      }
    },
    look: () => layout,
  }
}
