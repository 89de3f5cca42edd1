import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { enqueueJob, PendingJobExists } from '../../job/enqueue.ts'
import type { JobRow } from '../../job/states.ts'
import { NotFound } from '../../refusal.ts'
import { lockVault } from '../find.ts'
import { placeOf } from '../location.ts'
import { ImportAlreadyRunning } from './import-vault.ts'
import type { ImportRequest } from './request.ts'

export interface RebuildCatalogue extends ImportRequest {
  vaultId: string
  actor: string
  now: Date
}

/**
 * Starts a job that makes known again what a vault holds and the catalogue does not know: recovery points, and the backup
 * instances and servers that they need. What is known already is left as it is.
 */
export async function rebuildCatalogue(
  database: Database,
  { vaultId, readBack, dryRun, actor, now }: RebuildCatalogue,
): Promise<JobRow> {
  const request: ImportRequest = { readBack, dryRun }
  return database.transaction(async (tx) => {
    const vault = await lockVault(tx, vaultId)
    if (!vault) throw new NotFound('vault')
    try {
      const job = await enqueueJob(tx, {
        operation: 'IMPORT_VAULT',
        trigger: 'USER',
        input: request,
        subject: { vaultId },
        exclusiveKey: `import:${vaultId}`,
        lanes: [`vault:${vaultId}`],
        maxAttempts: 3,
        actor,
        now,
      })
      if (!dryRun) {
        await recordAudit(tx, {
          actor,
          action: 'rebuildCatalogue',
          subject: { kind: 'Vault', id: vault.id, name: vault.name },
          detail: { job: job.id, readBack },
          now,
        })
      }
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new ImportAlreadyRunning(placeOf(vault.location), cause.jobId)
      throw cause
    }
  })
}
