import type { Storage } from './contract.ts'
import { readPlainJson, sealBytes, unsealBytes } from './sealed-json.ts'
import { StorageError } from './storage-error.ts'

/** The object that makes a place a vault. */
export const vaultHeaderKey = 'holdfast-vault.json'

/** The plain facts in a vault's root. */
export interface VaultHeader {
  format: 'holdfast-vault'
  formatVersion: 1
  vaultId: string
  /** Everything in the vault is sealed for it. */
  recipient: string
  createdAt: string
  /** A known text sealed for the recipient, base64: whoever opens it has the vault's key. */
  canary: string
}

/** The header of a new vault. */
export async function newVaultHeader(vaultId: string, recipient: string, now: Date): Promise<VaultHeader> {
  const canary = await sealBytes(Buffer.from(canaryText(vaultId)), [recipient])
  return {
    format: 'holdfast-vault',
    formatVersion: 1,
    vaultId,
    recipient,
    createdAt: now.toISOString(),
    canary: canary.toString('base64'),
  }
}

/** The header of the vault in a place; undefined when there is none. Throws ARTIFACT_DAMAGED when it is unreadable. */
export async function readVaultHeader(storage: Storage): Promise<VaultHeader | undefined> {
  if ((await storage.size(vaultHeaderKey)) === undefined) return undefined
  const header = await readPlainJson(storage, vaultHeaderKey)
  if (isVaultHeader(header)) return header
  const message = `${vaultHeaderKey} in the ${storage.description} is not a header that this version can read.`
  throw new StorageError('ARTIFACT_DAMAGED', vaultHeaderKey, message)
}

/** Proves that an identity opens what is sealed in this vault; throws WRONG_KEY when it does not. */
export async function proveIdentity({ vaultId, canary }: VaultHeader, identity: string): Promise<void> {
  const text = (await unsealBytes(Buffer.from(canary, 'base64'), identity, vaultHeaderKey)).toString()
  if (text === canaryText(vaultId)) return
  throw new StorageError('WRONG_KEY', vaultHeaderKey, `The canary of vault ${vaultId} holds another vault's text.`)
}

function canaryText(vaultId: string): string {
  return `holdfast vault ${vaultId}`
}

function isVaultHeader(value: unknown): value is VaultHeader {
  if (typeof value !== 'object' || value === null) return false
  const fields = new Map(Object.entries(value))
  const texts = ['vaultId', 'recipient', 'createdAt', 'canary'].every((name) => typeof fields.get(name) === 'string')
  return texts && fields.get('format') === 'holdfast-vault' && fields.get('formatVersion') === 1
}
