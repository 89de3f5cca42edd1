import { sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recordset } from '../../database/recordset.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import type { BackupInstance } from '../../instance/instance.ts'
import { enqueueJobs } from '../../job/enqueue.ts'
import type { VerifyLevel } from '../recovery-point.ts'
import { verificationJob } from '../verify.ts'
import { hasFailed } from './candidate.ts'
import type { CandidatePoint } from './find-candidates.ts'

export interface VerificationStart {
  instance: BackupInstance
  point: CandidatePoint
  level: VerifyLevel
}

/** How many verifications that the clock asks for wait or run at once in a vault: of those that only read, and of the others. */
export const mostPending = 4

/**
 * Enqueues verifications that the clock has decided on, whose instances the caller has locked, and writes down on each point
 * that they were; answers how many. A point that somebody else has verified just now is left to that.
 */
export async function startVerifications(
  tx: Database,
  { starts, now }: { starts: readonly VerificationStart[]; now: Date },
): Promise<number> {
  if (starts.length === 0) return 0
  const answers = await enqueueJobs(
    tx,
    starts.map((start) => verificationJob({ ...start, trigger: 'SYSTEM', actor: 'holdfast', now })),
  )
  const begun = starts.filter((_, index) => {
    const answer = answers[index]
    return answer !== undefined && 'jobId' in answer
  })
  const tried = begun.map(({ point, level }) => ({
    id: point.id,
    verification_tried_at: now,
    verification_tried_level: level,
    verification_tries: hasFailed(point) ? point.verificationTries + 1 : 1,
  }))
  await tx.execute(sql`
    update ${recoveryPoints} set verification_tried_at = tried.verification_tried_at,
      verification_tried_level = tried.verification_tried_level, verification_tries = tried.verification_tries
    from ${recordset(recoveryPoints, tried)} tried
    where ${recoveryPoints.id} = tried.id`)
  return begun.length
}
