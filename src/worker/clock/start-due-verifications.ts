import { startDueScrub } from '../../recovery-point/verification/start-due-scrubs.ts'
import { startDueVerifications } from '../../recovery-point/verification/start-due-verifications.ts'
import type { Chore } from './clock.ts'

const everyMs = 15_000
const atOnce = 100
const mostTurns = 20

/** Begins the verifications that policies ask for; what is more than a round takes waits for the next. */
export const startDueVerificationsChore: Chore = {
  name: 'start due verifications',
  everyMs,
  async run({ database, log }, now) {
    for (let turn = 0; turn < mostTurns; turn++) {
      const { looked, started } = await startDueVerifications(database, { now, atMost: atOnce })
      if (started > 0) log.info({ started }, 'verifications that policies ask for were begun')
      if (looked < atOnce) return
    }
  },
}

/** Has points read again whose bytes were read too long ago, vault by vault. */
export const startDueScrubsChore: Chore = {
  name: 'start due scrubs',
  everyMs,
  async run({ database, log }, now) {
    for (let turn = 0; turn < atOnce; turn++) {
      const started = await startDueScrub(database, { now })
      if (started === undefined) return
      if (started > 0) log.info({ started }, 'recovery points are read again')
    }
  },
}
