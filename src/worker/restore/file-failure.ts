import { WorkFailed } from '../failure.ts'

const codes = new Map([
  ['ENOSPC', 'STORAGE_FULL'],
  ['EDQUOT', 'STORAGE_FULL'],
  ['EROFS', 'STORAGE_READ_ONLY'],
  ['EACCES', 'STORAGE_PERMISSION_DENIED'],
  ['EPERM', 'STORAGE_PERMISSION_DENIED'],
  ['ENOENT', 'STORAGE_UNREACHABLE'],
  ['ENOTDIR', 'STORAGE_UNREACHABLE'],
  ['ESTALE', 'STORAGE_UNREACHABLE'],
  ['ENODEV', 'STORAGE_UNREACHABLE'],
  ['ENAMETOOLONG', 'STORAGE_FAILED'],
  ['ELOOP', 'STORAGE_FAILED'],
  ['EIO', 'STORAGE_FAILED'],
  // A mount point cannot be replaced by the finished directory.
  ['EBUSY', 'STORAGE_FAILED'],
  ['EXDEV', 'STORAGE_FAILED'],
  ['ENOTEMPTY', 'TARGET_NOT_EMPTY'],
  ['EEXIST', 'TARGET_NOT_EMPTY'],
] as const)

/** Tells a file system's error about a restore's directory by the table of failures; other causes are answered as they are. */
export function storageFailure(cause: unknown, directory: string): unknown {
  if (!(cause instanceof Error) || !('code' in cause)) return cause
  for (const [systemCode, code] of codes) {
    if (cause.code === systemCode) return new WorkFailed(code, `${directory}: ${cause.message}`)
  }
  return cause
}
