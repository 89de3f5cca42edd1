const firstDelayMs = 5_000
const longestDelayMs = 10 * 60_000

/**
 * How long to wait before the next attempt, ms: 5 s, 15 s, 45 s … at most 10 minutes, each moved by up to a fifth
 * either way by `chance` (0 ≤ chance < 1), so that jobs that failed together do not come back together.
 */
export function retryDelayMs(attemptsSpent: number, chance: number): number {
  const delayMs = Math.min(longestDelayMs, firstDelayMs * 3 ** Math.max(0, attemptsSpent - 1))
  return Math.round(delayMs * (0.8 + 0.4 * chance))
}
