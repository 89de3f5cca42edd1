import { startDueExpiries } from '../../instance/expiry/start-due-expiries.ts'
import { startDuePurges, tellOfNearPurges } from '../../instance/purge/start-due-purges.ts'
import { findRemovalRest } from '../../vault/removal-rest.ts'
import type { Chore } from './clock.ts'

const atOnce = 500
const mostTurns = 20

/** Starts the expiry of instances that have points whose time is over, unless removals rest; what is more than a round takes waits for the next. */
export const startDueExpiriesChore: Chore = {
  name: 'start due expiries',
  everyMs: 0,
  async run({ database }, now) {
    if (await findRemovalRest(database, now)) return
    await inTurns(() => startDueExpiries(database, { now, atMost: atOnce }))
  },
}

/** Starts the purge of deleted instances whose time has come, unless removals rest, and tells of those whose time is near. */
export const startDuePurgesChore: Chore = {
  name: 'start due purges',
  everyMs: 5_000,
  async run({ database }, now) {
    const rest = await findRemovalRest(database, now)
    if (!rest) await inTurns(() => startDuePurges(database, { now, atMost: atOnce }))
    await inTurns(() => tellOfNearPurges(database, { now, atMost: atOnce }))
  },
}

async function inTurns(turn: () => Promise<number>): Promise<void> {
  for (let turns = 0; turns < mostTurns; turns++) {
    if ((await turn()) < atOnce) return
  }
}
