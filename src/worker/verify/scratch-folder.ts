import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { takeOver } from '../../cluster/take-over.ts'
import { findJobs } from '../../job/find.ts'
import type { ClaimedJob } from '../../job/handler.ts'
import { isEnded, type JobRow } from '../../job/states.ts'
import type { WorkerContext } from '../context.ts'
import { storageFailure } from '../restore/file-failure.ts'

type Attempt = Pick<JobRow, 'id' | 'attempt'>

/** The folder of one attempt at a job: no other attempt, of whatever worker, uses it. Made when missing. */
export async function makeScratchFolder({ scratchDirectory }: WorkerContext, job: ClaimedJob): Promise<string> {
  const folder = folderOf(scratchDirectory, job)
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw storageFailure(cause, scratchDirectory)
  })
  return folder
}

/**
 * Stops the scratch servers that attempts which are over have left on this machine, and removes their folders. Attempts
 * that a worker still holds are let be, and so is what belongs to no job of this catalogue. A folder that cannot be removed
 * holds up no other, and is tried again the next time. Answers whether all of them are gone that the job named in `of` left.
 */
export async function sweepScratch(
  { database, scratchDirectory, log }: Pick<WorkerContext, 'database' | 'scratchDirectory' | 'log'>,
  { of }: { of?: string } = {},
): Promise<boolean> {
  const left = (await readdir(scratchDirectory).catch(ifMissing)).flatMap(attemptOf)
  const jobs = await findJobs(database, [...new Set(left.map(({ id }) => id))])
  let isAllGone = true
  for (const attempt of left) {
    const job = jobs.get(attempt.id)
    if (!job || isHeld(job, attempt)) continue
    const folder = folderOf(scratchDirectory, attempt)
    try {
      await removeScratch(folder)
    } catch (cause) {
      log.warn(
        { err: cause, folder },
        'A scratch folder could not be removed; it is tried again at the next verification.',
      )
      if (attempt.id === of) isAllGone = false
    }
  }
  return isAllGone
}

/** Stops the server in a scratch folder if one runs, and removes the folder; absent is fine. */
export async function removeScratch(folder: string): Promise<void> {
  const dataDir = join(folder, 'data')
  const isThere = await stat(dataDir).then(
    () => true,
    () => false,
  )
  if (isThere) await takeOver(dataDir)
  await rm(folder, { recursive: true, force: true, maxRetries: 3 })
}

function isHeld(job: JobRow, { attempt }: Attempt): boolean {
  return !isEnded(job.status) && job.workerId !== null && job.attempt === attempt
}

function folderOf(directory: string, { id, attempt }: Attempt): string {
  return join(directory, `${id}.${attempt}`)
}

function attemptOf(name: string): Attempt[] {
  const [, id, attempt] = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{1,6})$/.exec(name) ?? []
  return id === undefined ? [] : [{ id, attempt: Number(attempt) }]
}

function ifMissing(cause: NodeJS.ErrnoException): string[] {
  if (cause.code !== 'ENOENT') throw cause
  return []
}
