import { checkSpaceChore } from './check-space.ts'
import type { Chore } from './clock.ts'
import { watchForJumps } from './jump-watch.ts'
import { repairPlansChore } from './repair-plans.ts'
import { showAliveChore } from './show-alive.ts'
import { startDueBackupsChore } from './start-due-backups.ts'
import { startDueExpiriesChore, startDuePurgesChore } from './start-due-removals.ts'
import { startDueScrubsChore, startDueVerificationsChore } from './start-due-verifications.ts'
import { startMetadataBackupsChore } from './start-metadata-backups.ts'
import { startMissingCopiesChore } from './start-missing-copies.ts'
import { restingAfterJump, tellJumpChore } from './tell-jump.ts'
import { tellOverdueChore } from './tell-overdue.ts'
import { tellUnexportedChore } from './tell-unexported.ts'

/**
 * What the clock looks after, one line a chore. Each call makes them anew: a chore may remember what it has seen. A clock
 * that is set by hand, as that of a demonstration, jumps by design: removal then goes by it all the same.
 */
export function allChores({ isSetByHand }: { isSetByHand: boolean }): Chore[] {
  const watch = watchForJumps()
  const removals = [startDueExpiriesChore, startDuePurgesChore]
  return [
    showAliveChore,
    repairPlansChore(watch),
    checkSpaceChore,
    startDueBackupsChore,
    startMissingCopiesChore,
    startMetadataBackupsChore,
    tellOverdueChore(),
    tellUnexportedChore,
    startDueVerificationsChore,
    startDueScrubsChore,
    ...(isSetByHand ? removals : [tellJumpChore(watch), ...removals.map((each) => restingAfterJump(watch, each))]),
  ]
}
