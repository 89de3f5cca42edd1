import { startMissingCopies } from '../../recovery-point/copy/start-missing-copies.ts'
import type { Chore } from './clock.ts'

/** So many wait or run at once for one replica: enough that it is never idle, and no more than a page of jobs. */
const atMost = 10

/** Has second copies made of recovery points that lack theirs: old ones after a replica was named, and those that failed. */
export const startMissingCopiesChore: Chore = {
  name: 'start missing copies',
  everyMs: 30_000,
  async run({ database, log }, now) {
    const started = await startMissingCopies(database, { now, atMost })
    if (started > 0) log.info({ started }, 'copies of recovery points that lack theirs were started')
  },
}
