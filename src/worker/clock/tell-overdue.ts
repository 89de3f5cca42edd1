import { tellOverdue } from '../../instance/schedule/tell-overdue.ts'
import type { Chore } from './clock.ts'

const atOnce = 200
const fullPassMs = 10 * 60_000

/**
 * Tells of instances that have become overdue. Each round looks at the span of time since the last one only, so that those
 * which have been overdue for long cost nothing. Now and then, and at the start, it looks at all of them: one may be overdue
 * from a moment that has passed, when a point was found damaged, its policy was changed or nobody had looked.
 */
export function tellOverdueChore(): Chore {
  let seenUpTo: Date | null = null
  let fullPassDueMs = 0
  return {
    name: 'tell what is overdue',
    everyMs: 0,
    async run({ database }, now) {
      if (performance.now() >= fullPassDueMs) seenUpTo = null
      const told = await tellOverdue(database, { after: seenUpTo, now, atMost: atOnce })
      // Where there may be more, the same span is looked at again: what has been told is left out.
      if (told === atOnce) return
      if (seenUpTo === null) fullPassDueMs = performance.now() + fullPassMs
      seenUpTo = now
    },
  }
}
