import { startDueMetadataBackups } from '../../vault/metadata/start-due.ts'
import type { Chore } from './clock.ts'

const atOnce = 20

/** Starts the backup of Holdfast's own metadata into the vaults that are to have one now. */
export const startMetadataBackupsChore: Chore = {
  name: 'start due backups of the metadata',
  everyMs: 10_000,
  async run({ database, metadata: { everyMs }, log }, now) {
    const started = await startDueMetadataBackups(database, { everyMs, now, atMost: atOnce })
    if (started > 0) log.info({ started }, 'backups of the metadata were started')
  },
}
