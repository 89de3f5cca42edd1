/** What went wrong with a storage, for the one table of failure codes. */
export type StorageErrorCode =
  | 'STORAGE_FULL'
  | 'STORAGE_READ_ONLY'
  | 'STORAGE_PERMISSION_DENIED'
  | 'STORAGE_UNREACHABLE'
  | 'STORAGE_OBJECT_EXISTS'
  | 'STORAGE_OBJECT_MISSING'
  | 'STORAGE_KEY_INVALID'
  | 'STORAGE_FAILED'
  | 'ARTIFACT_DAMAGED'
  | 'WRONG_KEY'

/** A storage could not do what was asked; `subject` names the object or place, `cause` holds the system's error. */
export class StorageError extends Error {
  readonly code: StorageErrorCode
  readonly subject: string

  constructor(code: StorageErrorCode, subject: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StorageError'
    this.code = code
    this.subject = subject
  }
}

const aboutStored: readonly StorageErrorCode[] = [
  'ARTIFACT_DAMAGED',
  'STORAGE_OBJECT_MISSING',
  'STORAGE_KEY_INVALID',
  'WRONG_KEY',
]

/** Whether a failure tells of what is stored, so that other objects of the place may be as good as ever. */
export function isAboutStored(cause: unknown): cause is StorageError {
  return cause instanceof StorageError && aboutStored.includes(cause.code)
}

/** A key is taken already: nothing is ever overwritten. */
export function takenError(key: string): StorageError {
  return new StorageError('STORAGE_OBJECT_EXISTS', key, `${key} exists already and is never overwritten.`)
}
