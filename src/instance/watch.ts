import { sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { follow } from '../database/follow.ts'
import type { Listener } from '../database/listen.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { jobs } from '../database/tables/job.ts'
import { isPending } from '../job/states.ts'
import { jobsChannel } from '../job/watch.ts'
import { notificationsChannel } from '../notification/record.ts'
import { findInstances } from './find.ts'
import type { BackupInstance } from './instance.ts'

/** Changes of the instance itself are not announced, but for those that come with a job or a notification, ms. */
const pollMs = 2_000
const mostOthers = 10_000

/**
 * The instance as it is now, then again after each change of it or of its jobs, the newest state where several came
 * together; completes when the instance is gone, at once when there is none.
 */
export function watchInstance(
  database: Database,
  listener: Pick<Listener, 'subscribe'>,
  instanceId: string,
): AsyncIterableIterator<BackupInstance, undefined> {
  let seen: string | undefined
  /** Jobs that were announced since the last look, and those known to be about something else. */
  const announced = new Set<string>()
  const others = new Set<string>()
  return follow({
    signal: undefined,
    subscribe: (onHint) => {
      const leaveJobs = listener.subscribe(jobsChannel, (jobId) => {
        if (jobId !== undefined && others.has(jobId)) return
        if (jobId !== undefined) announced.add(jobId)
        onHint()
      })
      const leaveNotifications = listener.subscribe(notificationsChannel, onHint)
      return () => {
        leaveJobs()
        leaveNotifications()
      }
    },
    async look() {
      const hinted = [...announced]
      announced.clear()
      const { fingerprint, otherJobs } = await lookAt(database, instanceId, hinted)
      if (others.size > mostOthers) others.clear()
      for (const jobId of otherJobs) others.add(jobId)
      if (fingerprint === null) return { items: [], restMs: 0, isLast: true }
      if (fingerprint === seen) return { items: [], restMs: pollMs, isLast: false }
      seen = fingerprint
      return { items: await findInstances(database, [instanceId]), restMs: pollMs, isLast: false }
    },
  })
}

/** What differs whenever the instance or one of its jobs does, null when it is gone; and which of the jobs are not its own. */
async function lookAt(
  database: Database,
  instanceId: string,
  hinted: readonly string[],
): Promise<{ fingerprint: string | null; otherJobs: readonly string[] }> {
  const ofInstance = sql`${jobs.instanceId} = ${instanceId}::uuid`
  const newest = sql`(select ${jobs.id}::text || ${jobs.eventSequence} from ${jobs} where ${ofInstance} order by ${jobs.createdAt} desc, ${jobs.id} desc limit 1)`
  const pending = sql`(select string_agg(${jobs.id}::text || ${jobs.eventSequence}, ',' order by ${jobs.id}) from ${jobs} where ${ofInstance} and ${isPending})`
  const [row] = await database.execute<{ fingerprint: string | null; others: string[] }>(sql`
    select (
      select concat_ws(';', ${backupInstances}::text, ${newest}, ${pending})
      from ${backupInstances} where ${backupInstances.id} = ${instanceId}::uuid
    ) as fingerprint,
    array(
      select id::text from jsonb_array_elements_text(${JSON.stringify(hinted)}::jsonb) hinted (id)
      where exists (select from ${jobs} where ${jobs.id} = hinted.id::uuid and ${jobs.instanceId} is distinct from ${instanceId}::uuid)
    ) as others`)
  return { fingerprint: row?.fingerprint ?? null, otherJobs: row?.others ?? [] }
}
