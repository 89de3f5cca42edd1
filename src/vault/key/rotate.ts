import { and, desc, eq } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { carryOut } from '../../database/rehearse.ts'
import { jobs } from '../../database/tables/job.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import { vaultKeys } from '../../database/tables/vault-key.ts'
import { enqueueJob, PendingJobExists } from '../../job/enqueue.ts'
import type { JobRow } from '../../job/states.ts'
import { NotFound, Refusal } from '../../refusal.ts'
import { generateIdentity } from '../../secret/age-identity.ts'
import type { SecretBox } from '../../secret/secret-box.ts'
import type { Vault } from '../vault.ts'

/** The vault's key is being rotated already. */
export class KeyRotationRunning extends Refusal {
  readonly runningJobId: string

  constructor(vault: Vault, runningJobId: string) {
    super(`The key of vault "${vault.name}" is being rotated already.`, ['Follow that job.'])
    this.runningJobId = runningJobId
  }
}

export interface RotateVaultKey {
  vaultId: string
  /** All is checked and answered, and nothing is changed; the job answered then is not there. */
  dryRun: boolean
  secrets: Pick<SecretBox, 'seal'>
  actor: string
  now: Date
}

export interface Rotation {
  vault: Vault
  job: JobRow
  /** Whether a rotation that did not come to its end is gone on with: no further key is made then. */
  isContinued: boolean
  /** How many recovery points there are whose manifest the new key has to be wrapped around. */
  pointsToRewrap: number
}

/**
 * Begins to give a vault a new key pair: the key is kept, sealed, from now on, and the job answered makes it the vault's own.
 * Until then everything goes on with the present key. After a rotation that failed, that one is gone on with.
 */
export async function rotateVaultKey(
  database: Database,
  { vaultId, dryRun, secrets, actor, now }: RotateVaultKey,
): Promise<Rotation> {
  return carryOut(database, { dryRun }, async (tx) => {
    const [vault] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('no key update')
    if (!vault) throw new NotFound('vault')
    const isContinued = await isUnfinished(tx, vaultId)
    if (!isContinued) await makeNextKey(tx, { vaultId, secrets, now })
    const recipient = await recipientToCome(tx, vault)
    try {
      const job = await enqueueJob(tx, {
        operation: 'ROTATE_KEY',
        trigger: 'USER',
        input: {},
        subject: { vaultId },
        exclusiveKey: `rotate:${vaultId}`,
        lanes: [`vault:${vaultId}`],
        maxAttempts: 5,
        actor,
        now,
      })
      await recordAudit(tx, {
        actor,
        action: 'rotateVaultKey',
        subject: { kind: 'Vault', id: vault.id, name: vault.name },
        before: { recipient: isContinued ? null : vault.recipient },
        after: { recipient },
        detail: { job: job.id, isContinued },
        now,
      })
      const pointsToRewrap = await tx.$count(recoveryPoints, eq(recoveryPoints.vaultId, vaultId))
      return { vault, job, isContinued, pointsToRewrap }
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new KeyRotationRunning(vault, cause.jobId)
      throw cause
    }
  })
}

/** Whether the last rotation ended before its work was done. */
async function isUnfinished(tx: Database, vaultId: string): Promise<boolean> {
  const [last] = await tx
    .select({ status: jobs.status })
    .from(jobs)
    .where(and(eq(jobs.vaultId, vaultId), eq(jobs.operation, 'ROTATE_KEY')))
    .orderBy(desc(jobs.createdAt), desc(jobs.id))
    .limit(1)
  return last?.status === 'FAILED' || last?.status === 'CANCELLED'
}

async function recipientToCome(tx: Database, vault: Vault): Promise<string> {
  const [next] = await tx
    .select({ recipient: vaultKeys.recipient })
    .from(vaultKeys)
    .where(and(eq(vaultKeys.vaultId, vault.id), eq(vaultKeys.state, 'NEXT')))
  return next?.recipient ?? vault.recipient
}

/** While a rotation is running its key is there already, and the job that is then refused takes this back. */
async function makeNextKey(
  tx: Database,
  { vaultId, secrets, now }: { vaultId: string; secrets: Pick<SecretBox, 'seal'>; now: Date },
): Promise<void> {
  const { identity, recipient } = generateIdentity()
  const sealedIdentity = secrets.seal(identity)
  await tx
    .insert(vaultKeys)
    .values({ vaultId, recipient, sealedIdentity, state: 'NEXT', createdAt: now })
    .onConflictDoNothing()
}
