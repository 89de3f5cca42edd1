import { and, eq, gt, isNotNull, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import type { AuditAction } from '../../audit/actions.ts'
import type { Database } from '../../database/connect.ts'
import { vaults } from '../../database/tables/vault.ts'
import { enqueueJob, PendingJobExists } from '../../job/enqueue.ts'
import { metadataJob } from './back-up.ts'

/** What makes a copy that does not know of it much less worth: it is not waited for the next one's turn. */
const important: readonly AuditAction[] = [
  'createVault',
  'exportRecoveryKey',
  'vaultKeyChanged',
  'vaultImported',
  'updateVaultCredentials',
  'registerServer',
  'updateServerCredentials',
  'updateServerAddress',
  'configureProtection',
  'changePolicy',
  'createPolicy',
  'revisePolicy',
  // What protects points: forgotten, they would go by what was before.
  'stopProtection',
  'resumeProtection',
  'undeleteBackupInstance',
  'holdRecoveryPoint',
  'recoveryPointKept',
  'updateVaultSecurity',
  'setVaultReplica',
]

/** After a change, and after a failure, so long is waited: changes often come together. */
const shortestPauseMs = 15 * 60_000
const retryShare = 4
/** What is noted for later than that was noted by a clock that was ahead. */
const clockToleranceMs = 5 * 60_000

/**
 * Starts a backup of the metadata for each vault that is to have one: when the last one is older than the interval, or than
 * an important change, or than a clock that was ahead has noted; a while after one that failed. Vaults whose place is not set up yet are left out. Answers how many
 * were started.
 */
export async function startDueMetadataBackups(
  database: Database,
  { everyMs, now, atMost }: { everyMs: number; now: Date; atMost: number },
): Promise<number> {
  const due = await database.select().from(vaults).where(isDue(everyMs, now)).orderBy(vaults.id).limit(atMost)
  let started = 0
  for (const vault of due) {
    started += await database
      .transaction(async (tx) => {
        await enqueueJob(tx, metadataJob(vault, { trigger: 'SYSTEM', actor: 'holdfast', now }))
        return 1
      })
      .catch((cause) => {
        if (cause instanceof PendingJobExists) return 0
        throw cause
      })
  }
  return started
}

function isDue(everyMs: number, now: Date): SQL | undefined {
  const before = (ms: number) => new Date(now.getTime() - ms)
  const tooFar = before(-clockToleranceMs)
  const { metadataBackedUpAt: at, metadataFailedAt: failedAt } = vaults
  const isChanged = sql`exists (select from audit_records
    where audit_records.at > ${at} and action in (${sql.join(
      important.map((action) => sql`${action}`),
      sql`, `,
    )}))`
  return and(
    eq(vaults.keepsMetadata, true),
    isNotNull(vaults.capabilities),
    or(isNull(at), gt(at, tooFar), lt(at, before(everyMs)), and(lt(at, before(shortestPauseMs)), isChanged)),
    or(isNull(failedAt), gt(failedAt, tooFar), lt(failedAt, before(Math.max(shortestPauseMs, everyMs / retryShare)))),
    // Looked at here for its own sake: the key would let none in either.
    sql`not exists (select from jobs where jobs.exclusive_key = 'metadata:' || ${vaults.id}
      and jobs.status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING'))`,
  )
}
