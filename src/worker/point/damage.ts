import { EngineError } from '../../engine/engine-error.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { vaultHeaderKey } from '../../storage/vault-header.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import { storageOf } from '../subjects.ts'

/**
 * Does a piece of work on stored bytes. What shows that they are damaged or missing is added to the list, one sentence
 * naming the file; every other failure says nothing about the bytes and is thrown on. `sentenceOf` decides which is which.
 */
export async function damageIn<Result>(
  damage: string[],
  work: () => Promise<Result>,
  sentenceOf: (cause: unknown) => string | undefined = damageOf,
): Promise<Result | undefined> {
  try {
    return await work()
  } catch (cause) {
    const sentence = sentenceOf(cause)
    if (sentence === undefined) throw cause
    damage.push(sentence)
    return undefined
  }
}

/** What a failure says is damaged or missing, one sentence naming the file; undefined when it says nothing about the bytes. */
export function damageOf(cause: unknown): string | undefined {
  if (cause instanceof EngineError && cause.code === 'ARCHIVE_UNREADABLE')
    return `${cause.message} ${cause.details}`.trim()
  return storedDamageOf(cause)
}

/**
 * As damageOf, by what the storage alone says: for work that gets no byte before it was compared with its digest, so that
 * what fails on it afterwards is no news of the bytes.
 */
export function storedDamageOf(cause: unknown): string | undefined {
  if (cause instanceof StorageError && ['ARTIFACT_DAMAGED', 'STORAGE_OBJECT_MISSING'].includes(cause.code)) {
    // The vault's own header says nothing of any point in it.
    return cause.subject === vaultHeaderKey ? undefined : cause.message
  }
  return undefined
}

/**
 * Makes certain that damage was seen in the vault: throws what checkVault throws when its disk has gone meanwhile, for below an
 * empty mount point everything is missing.
 */
export async function certainOf(context: WorkerContext, vault: Vault, damage: readonly string[]): Promise<void> {
  if (damage.length === 0) return
  await checkVault(storageOf(context, vault), { vaultId: vault.id, recipient: vault.recipient })
}
