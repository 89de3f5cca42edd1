import { checkSpaceChore } from './check-space.ts'
import type { Chore } from './clock.ts'
import { startDueBackupsChore } from './start-due-backups.ts'
import { startDueExpiriesChore, startDuePurgesChore } from './start-due-removals.ts'
import { tellOverdueChore } from './tell-overdue.ts'

/** What the clock looks after, one line a chore. Each call makes them anew: a chore may remember what it has seen. */
export function allChores(): Chore[] {
  return [checkSpaceChore, startDueBackupsChore, tellOverdueChore(), startDueExpiriesChore, startDuePurgesChore]
}
