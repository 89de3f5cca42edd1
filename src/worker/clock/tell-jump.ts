import { recordNotification } from '../../notification/record.ts'
import { restRemovals } from '../../vault/removal-rest.ts'
import type { Chore } from './clock.ts'
import { type JumpWatch, restMs } from './jump-watch.ts'

const hourMs = 60 * 60_000

/**
 * Tells of a database clock that has jumped ahead, once, however many workers have seen it; and lets removals rest, for all
 * workers, those too that start later.
 */
export function tellJumpChore(watch: JumpWatch): Chore {
  return {
    name: 'tell of a jump of the clock',
    everyMs: 0,
    async run({ database, log }, now) {
      watch.see(now)
      const jumpMs = watch.untoldJumpMs()
      if (jumpMs === undefined) return
      const hours = Math.round(jumpMs / hourMs)
      log.error({ hours, now }, 'the clock of the database has jumped ahead: nothing is removed for a day')
      const jumped = `the clock of the database has jumped ahead by ${hours} hours, to ${now.toISOString()}`
      await database.transaction(async (tx) => {
        await restRemovals(tx, { kind: 'CLOCK_JUMP', forMs: restMs, reason: jumped, now })
        await recordNotification(tx, {
          kind: 'MAINTENANCE_FAILED',
          severity: 'WARNING',
          message: `T${jumped.slice(1)}: nothing is removed for a day.`,
          recommendedActions: [
            'If that time is wrong, set the clock of the metadata database right by NTP.',
            'If it is right, there is nothing to do: removal goes on by itself.',
          ],
          about: {},
          onceKey: `clock-jumped:${hours}:${now.toISOString().slice(0, 10)}`,
          now,
        })
      })
      watch.told()
    },
  }
}

/** The same chore, but for the day after a jump of the clock: then it is left alone. */
export function restingAfterJump(watch: JumpWatch, chore: Chore): Chore {
  return {
    ...chore,
    async run(context, now) {
      watch.see(now)
      if (!watch.isResting()) await chore.run(context, now)
    },
  }
}
