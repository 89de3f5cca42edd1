import type { StorageCapabilities } from '../storage/contract.ts'
import { StorageError } from '../storage/storage-error.ts'
import { WorkFailed } from './failure.ts'

/** Says of a place that holds other things that it cannot be the vault. */
export function occupied(cause: unknown): never {
  const isOccupied = cause instanceof StorageError && cause.code === 'STORAGE_OBJECT_EXISTS'
  throw isOccupied ? new WorkFailed('VAULT_OCCUPIED', cause.message) : cause
}

/** How a place keeps two writers of one key apart, in words. */
export function createNote({ conditionalCreate }: StorageCapabilities): string {
  return conditionalCreate
    ? 'the storage itself refuses to overwrite'
    : 'the storage takes no condition for it: Holdfast looks first, and each attempt writes to a folder of its own'
}
