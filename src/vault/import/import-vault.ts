import { eq, inArray, notInArray } from 'drizzle-orm'
import { recordAudit } from '../../audit/record.ts'
import type { Database } from '../../database/connect.ts'
import { jobs } from '../../database/tables/job.ts'
import { vaults } from '../../database/tables/vault.ts'
import { vaultImports } from '../../database/tables/vault-key.ts'
import { enqueueJob, PendingJobExists } from '../../job/enqueue.ts'
import { type JobRow, pendingStatuses } from '../../job/states.ts'
import { checkName, InvalidInput, NameTaken, Refusal } from '../../refusal.ts'
import { recipientOf } from '../../secret/age-identity.ts'
import type { SecretBox } from '../../secret/secret-box.ts'
import { SecretError } from '../../secret/secret-error.ts'
import { checkLocation, factsOf, keyOf, type NewLocation, placeOf, requireFreePlace } from '../location.ts'
import type { ImportRequest } from './request.ts'

/** What the vault holds is being made known already. */
export class ImportAlreadyRunning extends Refusal {
  readonly runningJobId: string

  constructor(place: string, runningJobId: string) {
    super(`What the vault in ${place} holds is being imported already.`, ['Follow that job.'])
    this.runningJobId = runningJobId
  }
}

export interface ImportVault {
  /** What it is to be called here. */
  name: string
  location: NewLocation
  /** The vault's secret key, open: the present one, or a former one, which opens what was sealed until it was rotated. */
  recoveryKey: string
  readBack: boolean
  /** The job only looks, and its report says what would be made known. */
  dryRun: boolean
  secrets: SecretBox
  actor: string
  now: Date
}

/**
 * Starts a job that makes a vault known, which some other Holdfast or a lost one has written, from its place and its recovery
 * key alone: the vault under its own id, its backup instances as stopped, their servers without credentials, and all recovery
 * points. The key is kept sealed from the first moment, and apart from the job. A vault that is known by that name in that
 * place is gone through again, and gets the key where a rotation that the catalogue knows nothing of has made it the present one.
 */
export async function importVault(database: Database, input: ImportVault): Promise<JobRow> {
  const { name, readBack, dryRun, secrets, actor, now } = input
  checkName('name', name)
  const identity = input.recoveryKey.trim()
  const recipient = checkRecoveryKey(identity)
  const location = checkLocation(input.location, { secrets, now })
  const request: ImportRequest = { readBack, dryRun }
  return database.transaction(async (tx) => {
    const [namesake] = await tx.select().from(vaults).where(eq(vaults.name, name))
    const known = namesake?.locationKey === keyOf(location) ? namesake : undefined
    if (!known) {
      if (namesake) throw new NameTaken('vault', name)
      await requireFreePlace(tx, location)
    }
    await forgetEndedImports(tx)
    try {
      const job = await enqueueJob(tx, {
        operation: 'IMPORT_VAULT',
        trigger: 'USER',
        input: request,
        subject: known ? { vaultId: known.id } : {},
        exclusiveKey: `import:${known?.id ?? keyOf(location)}`,
        ...(known && { lanes: [`vault:${known.id}`] }),
        maxAttempts: 3,
        actor,
        now,
      })
      const sealedIdentity = secrets.seal(identity)
      await tx.insert(vaultImports).values({ jobId: job.id, name, location, recipient, sealedIdentity, dryRun })
      if (!dryRun) {
        await recordAudit(tx, {
          actor,
          action: 'importVault',
          subject: { kind: 'Job', id: job.id, name: `IMPORT_VAULT of ${name}` },
          after: { vault: name, ...factsOf(location), recipient },
          detail: { readBack },
          now,
        })
      }
      return job
    } catch (cause) {
      if (cause instanceof PendingJobExists) throw new ImportAlreadyRunning(placeOf(location), cause.jobId)
      throw cause
    }
  })
}

/** No message repeats the key. */
function checkRecoveryKey(identity: string): string {
  try {
    return recipientOf(identity)
  } catch (cause) {
    if (!(cause instanceof SecretError)) throw cause
    throw new InvalidInput('recoveryKey', 'This is not a recovery key.', [
      'Give the one line that begins with AGE-SECRET-KEY-1, as exportRecoveryKey handed it out.',
    ])
  }
}

/** What an import was given is kept no longer than its job. */
async function forgetEndedImports(tx: Database): Promise<void> {
  const ended = tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(notInArray(jobs.status, [...pendingStatuses]))
  await tx.delete(vaultImports).where(inArray(vaultImports.jobId, ended))
}
