import { recordWorkerSeen } from '../../job/worker-seen.ts'
import type { Chore } from './clock.ts'

/** Says now and then that a worker is there, so that others can tell when none is. */
export const showAliveChore: Chore = {
  name: 'say that a worker is there',
  everyMs: 10_000,
  run: ({ database }, now) => recordWorkerSeen(database, now),
}
