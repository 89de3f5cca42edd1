import { startDueBackups } from '../../instance/schedule/start-due-backups.ts'
import type { Chore } from './clock.ts'

const atOnce = 500
const mostTurns = 20

/** Starts the scheduled backups whose moment has come, in short transactions; what is more than that waits for the next round. */
export const startDueBackupsChore: Chore = {
  name: 'start due backups',
  everyMs: 0,
  async run({ database, log }, now) {
    for (let turn = 0; turn < mostTurns; turn++) {
      const { decided, started, skipped } = await startDueBackups(database, { now, atMost: atOnce })
      if (decided > 0) log.info({ started, skipped }, 'scheduled backups were started')
      if (decided < atOnce) return
    }
  },
}
