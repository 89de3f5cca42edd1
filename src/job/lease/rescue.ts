import { and, inArray, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { jobs } from '../../database/tables/job.ts'
import { announce, changeJobs, databaseNow, queueChannel } from '../change.ts'
import { isRunning, type JobRow } from '../states.ts'

const mostAtOnce = 100

/**
 * Takes jobs from workers that let their lease run out, and puts them back in the queue, or, where a cancel was asked
 * for, where they wait to be cleaned up. Of many rescuers one gets each job. Resolves with the jobs taken.
 */
export async function rescueLapsed(database: Database): Promise<JobRow[]> {
  return database.transaction(async (tx) => {
    const lapsed = tx
      .select({ id: jobs.id })
      .from(jobs)
      .where(and(isRunning, sql`${jobs.leaseUntil} < statement_timestamp()`))
      .orderBy(jobs.leaseUntil)
      .limit(mostAtOnce)
      .for('update', { skipLocked: true })
    const rescued = await changeJobs(
      tx,
      and(inArray(jobs.id, lapsed), isRunning),
      {
        status: sql`case when ${jobs.cancelRequestedAt} is null then 'QUEUED' else 'CANCELLING' end::job_status`,
        workerId: null,
        leaseUntil: null,
        runAt: databaseNow,
        mayHaveLeftovers: true,
      },
      [{ type: 'RESCUED', data: { message: 'Its worker was lost; another one takes over.' } }],
    )
    if (rescued.length > 0) await announce(tx, queueChannel)
    return rescued
  })
}
