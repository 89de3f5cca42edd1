import type { Storage } from './contract.ts'
import { jsonText, readPlainJson, sealBytes, unsealBytes } from './sealed-json.ts'
import { StorageError } from './storage-error.ts'

/** The object that makes a place a vault. */
export const vaultHeaderKey = 'holdfast-vault.json'

/** The plain facts in a vault's root. */
export interface VaultHeader {
  format: 'holdfast-vault'
  formatVersion: 1
  vaultId: string
  /** Everything new in the vault is sealed for it. */
  recipient: string
  createdAt: string
  /** A known text sealed for the recipient, base64: whoever opens it has the vault's key. */
  canary: string
  /** Keys that the vault had before, oldest first: what is sealed for them is opened by way of its keyring. */
  formerRecipients?: string[]
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

/** Puts a right header in the place of a damaged one, or where there is none, from what is known of the vault elsewhere. */
export async function putVaultHeader(
  storage: Storage,
  {
    vaultId,
    recipient,
    createdAt,
    formerRecipients,
  }: { vaultId: string; recipient: string; createdAt: Date; formerRecipients: string[] },
): Promise<void> {
  const header = await newVaultHeader(vaultId, recipient, createdAt)
  const text = Buffer.from(jsonText(formerRecipients.length === 0 ? header : { ...header, formerRecipients }))
  if ((await storage.size(vaultHeaderKey)) !== undefined) return storage.replace(vaultHeaderKey, text)
  await storage.write(vaultHeaderKey, async (sink) => void sink.end(text))
}

/** The header of the vault in a place; undefined when there is none. Throws ARTIFACT_DAMAGED when it is unreadable. */
export async function readVaultHeader(storage: Storage): Promise<VaultHeader | undefined> {
  if ((await storage.size(vaultHeaderKey)) === undefined) return undefined
  const header = await readPlainJson(storage, vaultHeaderKey)
  if (isVaultHeader(header)) return header
  const message = `${vaultHeaderKey} in the ${storage.description} is not a header that this version can read.`
  throw new StorageError('ARTIFACT_DAMAGED', vaultHeaderKey, message)
}

/** Whether a key is the vault's own, or was: both are known to whoever has the vault's present key. */
export function isKeyOf({ recipient, formerRecipients = [] }: VaultHeader, wanted: string): boolean {
  return recipient === wanted || formerRecipients.includes(wanted)
}

/**
 * Makes another key the vault's own, in one step; the present one is its newest former key then. Does nothing when that was
 * done already. Throws WRONG_KEY when the vault's present key is neither.
 */
export async function switchVaultKey(storage: Storage, { from, to }: { from: string; to: string }): Promise<void> {
  const header = await readVaultHeader(storage)
  if (header?.recipient === to) return
  if (header?.recipient !== from) {
    const message = `The ${storage.description} is sealed for ${header?.recipient ?? 'nobody'}, not for this vault's key ${from}.`
    throw new StorageError('WRONG_KEY', storage.description, message)
  }
  const { canary } = await newVaultHeader(header.vaultId, to, new Date(header.createdAt))
  const formerRecipients = [...(header.formerRecipients ?? []), from]
  const switched = { ...header, recipient: to, canary, formerRecipients }
  await storage.replace(vaultHeaderKey, Buffer.from(jsonText(switched)))
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
  const former = fields.get('formerRecipients') ?? []
  const areTexts = Array.isArray(former) && former.every((recipient) => typeof recipient === 'string')
  return texts && areTexts && fields.get('format') === 'holdfast-vault' && fields.get('formatVersion') === 1
}
