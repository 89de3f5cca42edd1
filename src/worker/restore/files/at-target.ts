import { StorageError } from '../../../storage/storage-error.ts'
import { WorkFailed } from '../../failure.ts'

/**
 * Does a piece of work on the place that files are restored into: what its storage fails with is told by the table of
 * failures, and never taken for damage of the recovery point. What `isOthers` answers true for is thrown on as it is.
 */
export async function atTarget<Result>(
  work: () => Promise<Result>,
  isOthers: (cause: unknown) => boolean = () => false,
): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof StorageError) || isOthers(cause)) throw cause
    const code = cause.code === 'STORAGE_OBJECT_EXISTS' ? 'TARGET_NOT_EMPTY' : cause.code
    throw new WorkFailed(code === 'STORAGE_OBJECT_MISSING' ? 'STORAGE_FAILED' : code, cause.message)
  }
}
