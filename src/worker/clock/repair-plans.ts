import { repairPlans } from '../../instance/schedule/repair-plans.ts'
import { mendRemovalRest } from '../../vault/removal-rest.ts'
import type { Chore } from './clock.ts'
import type { JumpWatch } from './jump-watch.ts'

/** Plans anew what a clock that was ahead has planned too late, the end of a rest too: at the start, and when the clock was set back. */
export function repairPlansChore(watch: JumpWatch): Chore {
  let repairedAfter: number | undefined
  return {
    name: 'repair the plans of schedules',
    everyMs: 0,
    async run({ database, log }, now) {
      watch.see(now)
      const setBacks = watch.setBacks()
      if (repairedAfter === setBacks) return
      await mendRemovalRest(database, now)
      const count = await repairPlans(database, { now })
      repairedAfter = setBacks
      if (count > 0) log.warn({ count, now }, 'instances whose next start lay too far ahead were planned anew')
    },
  }
}
