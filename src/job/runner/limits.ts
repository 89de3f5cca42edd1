/** The longest that a timer can be set for, ms. */
const longestTimerMs = 2 ** 31 - 1

export interface Limits {
  /** Something went on. */
  advance(): void
  end(): void
}

/** Watches how long an attempt takes, and how long it goes without progress; calls `onLimit` when it is too long. */
export function watchLimits(
  { ceilingMs, stallMs }: { ceilingMs: number; stallMs: number },
  onLimit: (reason: 'TIME_LIMIT' | 'NO_PROGRESS') => void,
): Limits {
  let advancedAt = performance.now()
  const ceiling = setTimeout(onLimit, Math.min(ceilingMs, longestTimerMs), 'TIME_LIMIT')
  let stall: NodeJS.Timeout
  const watchStall = () => {
    const leftMs = advancedAt + stallMs - performance.now()
    if (leftMs <= 0) onLimit('NO_PROGRESS')
    else stall = setTimeout(watchStall, Math.min(Math.ceil(leftMs), longestTimerMs))
  }
  watchStall()
  return {
    advance() {
      advancedAt = performance.now()
    },
    end() {
      clearTimeout(ceiling)
      clearTimeout(stall)
    },
  }
}
