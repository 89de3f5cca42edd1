import type { ReportBatch } from '../settle/report.ts'
import type { Progress } from './progress.ts'

const leastPauseMs = 1_000

export interface Writing {
  /** There is something to write: it is, at once or when a second has passed since the last time. */
  request(): void
  /** Writes no more; resolves when the write under way, if any, has ended. */
  close(): Promise<void>
}

/**
 * Writes what a run says, at most once a second. `write` answers whether the run still has its job, and throws when
 * nothing could be written: then the same is tried again.
 */
export function startWriting(
  progress: Progress,
  {
    write,
    onLost,
    onFailed,
  }: {
    write: (batch: ReportBatch) => Promise<boolean>
    onLost: () => void
    onFailed: (cause: unknown) => void
  },
): Writing {
  let timer: NodeJS.Timeout | undefined
  let underWay: Promise<void> | undefined
  let nextAt = 0
  let isClosed = false

  const writeNow = async (batch: ReportBatch) => {
    try {
      if (!(await write(batch))) onLost()
    } catch (cause) {
      progress.putBack(batch)
      onFailed(cause)
    }
    underWay = undefined
    request()
  }
  const request = () => {
    if (timer || underWay || isClosed) return
    timer = setTimeout(
      () => {
        timer = undefined
        const batch = progress.take()
        if (!batch) return
        nextAt = performance.now() + leastPauseMs
        underWay = writeNow(batch)
      },
      Math.max(0, nextAt - performance.now()),
    )
  }
  return {
    request,
    async close() {
      isClosed = true
      clearTimeout(timer)
      await underWay
    },
  }
}
