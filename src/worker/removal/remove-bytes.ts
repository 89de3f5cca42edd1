import { instancePrefix, isEmpty } from '../../storage/point-folders.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import type { ComparedVault } from './compare-vault.ts'

/**
 * Removes all that lies below a folder of an instance, and resolves only when it is certain that nothing of it is left in
 * the vault: listed and found empty, and the place is that vault. A folder that is not the instance's is an error.
 */
export async function removeBytes({ instance, vault, storage }: ComparedVault, prefix: string): Promise<void> {
  if (!prefix.startsWith(instancePrefix(instance.id)) || !prefix.endsWith('/')) {
    throw new StorageError('STORAGE_KEY_INVALID', prefix, `${prefix} is no folder of the backup instance.`)
  }
  await storage.removeAll(prefix)
  if (!(await isEmpty(storage, prefix))) {
    throw new StorageError('STORAGE_FAILED', prefix, `${prefix} was removed, but files are listed there still.`)
  }
  // An empty list proves nothing unless it was the vault that was listed: its disk may have gone meanwhile.
  await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
}
