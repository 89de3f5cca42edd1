import { eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { vaults } from '../../database/tables/vault.ts'
import { enqueueJob, type NewJob, PendingJobExists } from '../../job/enqueue.ts'
import type { JobRow, JobTrigger } from '../../job/states.ts'
import { NotFound, Refusal } from '../../refusal.ts'
import type { Vault } from '../vault.ts'

/** A backup of the metadata into the vault is queued or running already. */
export class MetadataBackupAlreadyRunning extends Refusal {
  readonly runningJobId: string

  constructor(vault: Vault, runningJobId: string) {
    super(`A backup of the metadata into vault "${vault.name}" is queued or running already.`, ['Follow that job.'])
    this.runningJobId = runningJobId
  }
}

/** The vault's place has not been made a vault yet. */
export class VaultNotSetUp extends Refusal {
  constructor(vault: Vault) {
    super(`Nothing was ever written into vault "${vault.name}": its place is set up with the first protection.`, [
      'Protect a server in it with configureProtection; the metadata is then backed up by itself.',
    ])
  }
}

export interface BackUpMetadata {
  vaultId: string
  actor: string
  now: Date
}

/** Starts a job that writes a copy of Holdfast's own metadata into a vault, whether or not that is done by itself there. */
export async function backUpMetadata(database: Database, { vaultId, actor, now }: BackUpMetadata): Promise<JobRow> {
  return database.transaction(async (tx) => {
    const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('share')
    if (!vault) throw new NotFound('vault')
    if (vault.capabilities === null) throw new VaultNotSetUp(vault)
    try {
      const job = await enqueueJob(tx, metadataJob(vault, { trigger: 'USER', actor, now }))
      await recordAudit(tx, {
        actor,
        action: 'backUpMetadata',
        subject: { kind: 'Vault', id: vault.id, name: vault.name },
        detail: { job: job.id },
        now,
      })
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new MetadataBackupAlreadyRunning(vault, cause.jobId)
      throw cause
    }
  })
}

/** The job that writes a copy into a vault; one at a time for each vault. */
export function metadataJob(
  { id }: Vault,
  { trigger, actor, now }: { trigger: JobTrigger; actor: string; now: Date },
): NewJob {
  return {
    operation: 'BACK_UP_METADATA',
    trigger,
    input: {},
    subject: { vaultId: id },
    exclusiveKey: `metadata:${id}`,
    lanes: [`vault:${id}`],
    maxAttempts: 3,
    actor,
    now,
  }
}
