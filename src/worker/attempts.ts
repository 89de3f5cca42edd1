import type { JobRun } from '../job/handler.ts'
import type { Storage } from '../storage/contract.ts'
import { isEmpty } from '../storage/point-folders.ts'
import { StorageError } from '../storage/storage-error.ts'

/** Where a job writes: each of its attempts into a folder of its own, which one object makes whole that is written last. */
export interface Attempts {
  storage: Storage
  prefixOf: (attempt: number) => string
  /** The key of that object. */
  headerOf: (prefix: string) => string
}

/**
 * Removes what earlier attempts of a job left unfinished: a killed worker could not. What is whole is left as it is, and
 * noted: where the catalogue was set back the job made it after that moment, and it may be all there is.
 */
export async function sweepAttempts(run: JobRun, { storage, prefixOf, headerOf }: Attempts): Promise<void> {
  for (let attempt = 1; attempt < run.job.attempt; attempt++) {
    const prefix = prefixOf(attempt)
    if ((await storage.size(headerOf(prefix))) === undefined) await storage.removeAll(prefix)
    else run.note('Whole, and left as it is', prefix)
  }
}

/**
 * Does work that writes into the folder of this attempt; nothing is left there when it throws. Throws STORAGE_OBJECT_EXISTS
 * when anything lies there already: that is another's, and never touched.
 */
export async function writeOrNothing<Result>(
  run: JobRun,
  { storage, prefixOf }: Attempts,
  work: (prefix: string) => Promise<Result>,
): Promise<Result> {
  const prefix = prefixOf(run.job.attempt)
  if (!(await isEmpty(storage, prefix))) throw occupied(prefix)
  try {
    return await work(prefix)
  } catch (cause) {
    // Something else writes there as well: what of it is ours cannot be told.
    if (isOccupied(cause, prefix)) throw cause
    await storage
      .removeAll(prefix)
      .catch((failure: Error) => run.warn(`What was written below ${prefix} could not be removed: ${failure.message}`))
    throw cause
  }
}

function occupied(prefix: string): StorageError {
  const message = `${prefix} holds something already, as when the catalogue was set back to before it was written: it was left as it is. If it is a whole recovery point, rebuildCatalogue makes it known.`
  return new StorageError('STORAGE_OBJECT_EXISTS', prefix, message)
}

function isOccupied(cause: unknown, prefix: string): boolean {
  return cause instanceof StorageError && cause.code === 'STORAGE_OBJECT_EXISTS' && cause.subject.startsWith(prefix)
}
