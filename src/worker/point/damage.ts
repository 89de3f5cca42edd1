import { EngineError } from '../../engine/engine-error.ts'
import { StorageError } from '../../storage/storage-error.ts'

/**
 * Does a piece of work on stored bytes. What shows that they are damaged or missing is added to the list, one sentence
 * naming the file; every other failure says nothing about the bytes and is thrown on.
 */
export async function damageIn<Result>(damage: string[], work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work()
  } catch (cause) {
    const sentence = damageOf(cause)
    if (sentence === undefined) throw cause
    damage.push(sentence)
    return undefined
  }
}

/** What a failure says is damaged or missing, one sentence naming the file; undefined when it says nothing about the bytes. */
export function damageOf(cause: unknown): string | undefined {
  if (cause instanceof StorageError && ['ARTIFACT_DAMAGED', 'STORAGE_OBJECT_MISSING'].includes(cause.code)) {
    return cause.message
  }
  if (cause instanceof EngineError && cause.code === 'ARCHIVE_UNREADABLE')
    return `${cause.message} ${cause.details}`.trim()
  return undefined
}
