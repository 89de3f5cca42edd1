import { findJobs } from '../../job/find.ts'
import type { JobRun } from '../../job/handler.ts'
import { isEnded } from '../../job/states.ts'
import type { Storage } from '../../storage/contract.ts'
import { listMetadataFolders, type MetadataFolder, readMetadataHeader } from '../../storage/metadata-copies.ts'
import { copiesToKeep } from '../../vault/metadata/keep.ts'
import type { WorkerContext } from '../context.ts'

/**
 * Removes copies that are no longer kept, and what jobs that are over have left unfinished. What belongs to a job that
 * nobody here knows is another Holdfast's: unfinished, it is left alone. A copy whose header cannot be read is kept.
 */
export async function tidyCopies({ database, now }: WorkerContext, run: JobRun, storage: Storage): Promise<void> {
  const folders = await listMetadataFolders(storage)
  const copies: { createdAt: Date; prefix: string }[] = []
  for (const { prefix } of folders.filter(({ isWhole }) => isWhole)) {
    try {
      copies.push({ prefix, createdAt: new Date((await readMetadataHeader(storage, prefix)).createdAt) })
    } catch (cause) {
      run.warn(`${prefix} cannot be told apart from a good copy and is kept: ${messageOf(cause)}`)
    }
  }
  const kept = copiesToKeep(copies, now())
  const unfinished = folders.filter(({ isWhole }) => !isWhole)
  const jobs = await findJobs(
    database,
    unfinished.map(({ jobId }) => jobId),
  )
  const isLeftover = ({ jobId }: MetadataFolder) => {
    const job = jobs.get(jobId)
    return job !== undefined && isEnded(job.status)
  }
  for (const { prefix } of [...copies.filter((copy) => !kept.has(copy)), ...unfinished.filter(isLeftover)]) {
    await run.confirm()
    await storage.removeAll(prefix)
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
