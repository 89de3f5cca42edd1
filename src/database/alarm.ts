export interface Alarm {
  /** Ends the wait, or the next one when nobody waits. */
  ring(): void
  /** Resolves when rung, at the latest after so many milliseconds; at once when rung since the last wait. */
  wait(longestMs: number): Promise<void>
}

/** For one who waits for hints, any number of which count as one. */
export function createAlarm(): Alarm {
  let hasRung = false
  let wakeUp: (() => void) | undefined
  return {
    ring() {
      hasRung = true
      wakeUp?.()
    },
    async wait(longestMs) {
      if (!hasRung) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const timer = setTimeout(resolve, longestMs)
        wakeUp = resolve
        await promise
        wakeUp = undefined
        clearTimeout(timer)
      }
      hasRung = false
    },
  }
}
