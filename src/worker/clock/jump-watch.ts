import { uptime } from 'node:os'

const leastJumpMs = 60 * 60_000
/** How long nothing is removed after a jump, ms. */
export const restMs = 24 * 60 * 60_000

/** What is known of the database's clock from how it went on while this process looked. */
export interface JumpWatch {
  /** Takes note of the time; to be called with it before anything is decided by it. */
  see(now: Date): void
  /** Whether it has jumped ahead so lately that nothing is to be removed by it. */
  isResting(): boolean
  /** By how much it has jumped ahead, ms, until that is known to be told; undefined while it has not. */
  untoldJumpMs(): number | undefined
  told(): void
  /** How often it was set back. */
  setBacks(): number
}

/**
 * Watches the database's clock for jumps of more than an hour, against the time for which this machine has been up: that is
 * set by nobody, and goes on while the machine sleeps.
 */
export function watchForJumps({ upMs = () => uptime() * 1000 }: { upMs?: () => number } = {}): JumpWatch {
  let last: { at: number; upMs: number } | undefined
  let restUntilMs = -Infinity
  let untoldMs: number | undefined
  let setBacks = 0
  return {
    see(now) {
      const seen = { at: now.getTime(), upMs: upMs() }
      const jumpMs = last ? seen.at - last.at - (seen.upMs - last.upMs) : 0
      last = seen
      if (jumpMs < -leastJumpMs) setBacks++
      if (jumpMs <= leastJumpMs) return
      restUntilMs = seen.upMs + restMs
      untoldMs = jumpMs
    },
    isResting: () => upMs() < restUntilMs,
    untoldJumpMs: () => untoldMs,
    told() {
      untoldMs = undefined
    },
    setBacks: () => setBacks,
  }
}
