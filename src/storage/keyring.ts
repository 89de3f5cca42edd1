import { recipientOf } from '../secret/age-identity.ts'
import { SecretError } from '../secret/secret-error.ts'
import { headerLength, unwrapFileKey } from './age-header.ts'
import type { Storage } from './contract.ts'
import { readSmall, sealBytes, unsealBytes } from './sealed-json.ts'
import { isAboutStored, StorageError } from './storage-error.ts'
import type { VaultHeader } from './vault-header.ts'

/** A key pair that a vault had before its present one. */
export interface FormerKey {
  recipient: string
  identity: string
}

const mostBytes = 64 * 1024

/** Where a vault keeps a former secret key, sealed for its present one. */
export function keyringKey(recipient: string): string {
  return `keys/${recipient}.age`
}

/**
 * Puts former secret keys into a vault, each sealed for these recipients, so that who has one of theirs can open all that was
 * ever sealed for the vault. One that is there is replaced.
 */
export async function writeKeyring(
  storage: Storage,
  keys: readonly FormerKey[],
  recipients: readonly string[],
): Promise<void> {
  for (const { recipient, identity } of keys) {
    const key = keyringKey(recipient)
    const sealed = await sealBytes(Buffer.from(`${identity}\n`), recipients)
    if ((await storage.size(key)) === undefined) await storage.write(key, async (sink) => void sink.end(sealed))
    else await storage.replace(key, sealed)
  }
}

/** For which former keys there is something in a vault's keyring, by its names alone. */
export async function listKeyring(storage: Storage): Promise<string[]> {
  const recipients: string[] = []
  for await (const { key } of storage.list('keys/')) {
    const [, recipient] = /^keys\/(age1[0-9a-z]+)\.age$/.exec(key) ?? []
    if (recipient !== undefined) recipients.push(recipient)
  }
  return recipients
}

/**
 * The former keys of a vault, oldest first, opened by its present one; and what is wrong with those that cannot be opened:
 * they hold up no others. Throws only when the place cannot be read.
 */
export async function readKeyring(
  storage: Storage,
  { formerRecipients = [] }: VaultHeader,
  identity: string,
): Promise<{ keys: FormerKey[]; lost: StorageError[] }> {
  const keys: FormerKey[] = []
  const lost: StorageError[] = []
  for (const recipient of formerRecipients) {
    try {
      keys.push(await readKey(storage, recipient, identity))
    } catch (cause) {
      if (!isAboutStored(cause)) throw cause
      lost.push(cause)
    }
  }
  return { keys, lost }
}

async function readKey(storage: Storage, recipient: string, identity: string): Promise<FormerKey> {
  const key = keyringKey(recipient)
  const text = (await unsealBytes(await readSmall(storage, key, { mostBytes }), identity, key)).toString().trim()
  if (isPair(text, recipient)) return { recipient, identity: text }
  throw new StorageError('ARTIFACT_DAMAGED', key, `${key} does not hold the secret key of ${recipient}.`)
}

/**
 * For which of these keys something is sealed, by the first bytes of it; undefined for none of them. Throws ARTIFACT_DAMAGED,
 * naming `subject`, when the bytes do not begin with an age header.
 */
export function sealedFor<Key extends FormerKey>(
  start: Buffer,
  { keys, subject }: { keys: readonly Key[]; subject: string },
): Key | undefined {
  const end = headerLength(start)
  if (end === undefined) {
    throw new StorageError('ARTIFACT_DAMAGED', subject, `${subject} does not begin with an age header.`)
  }
  return keys.find(({ identity }) => {
    try {
      return unwrapFileKey(start.subarray(0, end), identity, subject)
    } catch (cause) {
      if (cause instanceof StorageError && cause.code === 'WRONG_KEY') return false
      throw cause
    }
  })
}

function isPair(identity: string, recipient: string): boolean {
  try {
    return recipientOf(identity) === recipient
  } catch (cause) {
    if (cause instanceof SecretError) return false
    throw cause
  }
}
