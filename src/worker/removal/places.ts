import type { BackupInstance } from '../../instance/instance.ts'
import { findPlaces } from '../../recovery-point/find.ts'
import { findVaults } from '../../vault/find.ts'
import type { WorkerContext } from '../context.ts'
import { storageOf } from '../subjects.ts'
import type { ComparedVault } from './compare-vault.ts'

/**
 * Every vault that may hold bytes of an instance, its own first: those that its points lie in, and the replica that its
 * vault names, once that has been set up. What was never set up holds nothing.
 */
export async function placesOf(context: WorkerContext, instance: BackupInstance): Promise<ComparedVault[]> {
  const { database } = context
  const [own] = await findVaults(database, [instance.vaultId])
  const holding = (await findPlaces(database, [instance.id])).get(instance.id) ?? []
  const others = await findVaults(database, [...holding, ...(own?.replicaId ? [own.replicaId] : [])])
  const isUsed = ({ id, capabilities }: (typeof others)[number]) => holding.includes(id) || capabilities !== null
  const vaults = [...(own ? [own] : []), ...others.filter((vault) => vault.id !== instance.vaultId && isUsed(vault))]
  return vaults.map((vault) => ({ instance, vault, storage: storageOf(context, vault) }))
}

/** How a vault is called among those of an instance: "the vault" is its own. */
export function nameOf({ instance, vault }: ComparedVault): string {
  return vault.id === instance.vaultId ? 'the vault' : `the replica vault "${vault.name}"`
}
