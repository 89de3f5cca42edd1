import type { JobRow } from './states.ts'

export interface Estimate {
  /** How much is done, from 0 to 1; null while the total is not known. */
  fraction: number | null
  /** Over the whole attempt; null before there is anything to tell it from. */
  bytesPerSecond: number | null
  /** When it will be done at that rate; null when that cannot be told, or the job is not running. */
  expectedEndAt: Date | null
}

/** What can be told from how far a job has come: how much is done, how fast, and until when. */
export function estimate(
  job: Pick<JobRow, 'status' | 'bytesDone' | 'bytesTotal' | 'attemptStartedAt' | 'progressAt'>,
): Estimate {
  const { bytesDone, bytesTotal, attemptStartedAt, progressAt } = job
  const isCompleted = job.status === 'COMPLETED' || job.status === 'COMPLETED_WITH_WARNINGS'
  const known = bytesTotal === null || bytesTotal <= 0 ? null : Math.min(1, bytesDone / bytesTotal)
  const fraction = isCompleted ? 1 : known
  const elapsedMs = attemptStartedAt && progressAt ? progressAt.getTime() - attemptStartedAt.getTime() : 0
  const bytesPerSecond = elapsedMs > 0 && bytesDone > 0 ? (bytesDone * 1000) / elapsedMs : null
  const isTold = job.status === 'IN_PROGRESS' && bytesPerSecond !== null && bytesTotal !== null && progressAt !== null
  if (!isTold) return { fraction, bytesPerSecond, expectedEndAt: null }
  const leftMs = (Math.max(0, bytesTotal - bytesDone) * 1000) / bytesPerSecond
  return { fraction, bytesPerSecond, expectedEndAt: new Date(progressAt.getTime() + leftMs) }
}
