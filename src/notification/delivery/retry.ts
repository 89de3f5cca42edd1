const firstDelayMs = 10_000
const longestDelayMs = 60 * 60_000
const longestTryingMs = 24 * 60 * 60_000
/** A worker that was away for a day has still to try. */
const leastAttempts = 5

/**
 * How long to wait after a failed attempt, ms: 10 s, 30 s, 90 s … at most an hour. Null to give up: a day after the
 * delivery was made, but not before the fifth attempt.
 */
export function retryDelayMs({ attempts, ageMs }: { attempts: number; ageMs: number }): number | null {
  if (ageMs >= longestTryingMs && attempts >= leastAttempts) return null
  return Math.min(longestDelayMs, firstDelayMs * 3 ** Math.max(0, attempts - 1))
}
