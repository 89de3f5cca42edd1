import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { listAllFolders } from '../../storage/point-folders.ts'
import { forgetVaultImport } from '../../vault/import/record-import.ts'
import { type ImportReport, importRequestOf } from '../../vault/import/request.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { importFolders } from './import-folders.ts'
import { openImported } from './open-imported.ts'
import { readBackImported } from './read-back-imported.ts'

/**
 * Imports vaults: makes known what lies in one, from its own place and key alone. Nothing in the vault is changed, and what
 * an attempt has made known stays, so that the next one goes on where it ended.
 */
export function importVaultHandler(context: WorkerContext): Handler {
  const defaults = handlerDefaults(context)
  return {
    ...defaults,
    perform: (run) => importVault(context, run),
    recordEnd: async (tx, job) => {
      await forgetVaultImport(tx, job.id)
      await defaults.recordEnd?.(tx, job)
    },
  }
}

async function importVault(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { readBack, dryRun } = importRequestOf(run.job)
  const opened = await run.subTask('Open the vault', () => openImported(context, run, { dryRun }))
  const { storage, vault, vaultId, vaultName } = opened
  run.note('Vault', `${vaultId}, in the ${storage.description}`)
  const report: ImportReport = {
    vaultId,
    vaultName,
    dryRun,
    pointsImported: 0,
    alreadyKnown: 0,
    manifestsTakenOver: 0,
    pointsReadBack: 0,
    pointsDamaged: 0,
    instances: [],
    servers: [],
    unreadableCount: 0,
    unreadable: [],
  }
  let rowsDone = 0
  const onFolder = () => run.progress({ rowsDone: ++rowsDone })
  await run.subTask('Find recovery points', async () => {
    const places = await listAllFolders(storage, { onFolder })
    for (const [instanceId, folders] of places) {
      await importFolders(context, run, { opened, instanceId, folders, report, dryRun, onFolder })
    }
  })
  if (vault && readBack && !dryRun) {
    await run.subTask('Read back and compare', () => readBackImported(context, run, { vault, report }))
  }
  if (report.unreadableCount > 0) {
    run.warn(
      `${report.unreadableCount} folders hold no recovery point that can be made known; the job's report names them. They were left as they are.`,
    )
  }
  return { kind: 'completed', result: report }
}
