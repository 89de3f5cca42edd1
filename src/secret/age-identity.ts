import { generateKeyPairSync } from 'node:crypto'
import { bech32 } from '@scure/base'
import { SecretError } from './secret-error.ts'
import { privateKeyOf, rawPrivateKey, rawPublicKey } from './x25519.ts'

/** A new key pair in the age v1 format: the identity opens what is sealed for the recipient. */
export interface AgeIdentity {
  /** `AGE-SECRET-KEY-1…`: the secret half. */
  identity: string
  /** `age1…`: the public half. */
  recipient: string
}

/** Makes a new random X25519 key pair. */
export function generateIdentity(): AgeIdentity {
  const { privateKey } = generateKeyPairSync('x25519')
  return {
    identity: bech32.encode('age-secret-key-', bech32.toWords(rawPrivateKey(privateKey))).toUpperCase(),
    recipient: recipientText(rawPublicKey(privateKey)),
  }
}

/** The recipient that belongs to an identity; throws IDENTITY_INVALID as decodeIdentity does. */
export function recipientOf(identity: string): string {
  return recipientText(rawPublicKey(privateKeyOf(decodeIdentity(identity))))
}

/** The 32 secret bytes of an identity; throws IDENTITY_INVALID, which never repeats the text. */
export function decodeIdentity(identity: string): Uint8Array {
  const raw = decode('age-secret-key-', identity)
  if (!raw || identity !== identity.toUpperCase())
    throw new SecretError('IDENTITY_INVALID', 'The recovery key is not an age identity (AGE-SECRET-KEY-1…).')
  return raw
}

/** The 32 public bytes of a recipient; throws RECIPIENT_INVALID. */
export function decodeRecipient(recipient: string): Uint8Array {
  const raw = decode('age', recipient)
  if (!raw || recipient !== recipient.toLowerCase())
    throw new SecretError('RECIPIENT_INVALID', 'The vault key is not an age recipient (age1…).')
  return raw
}

function recipientText(publicKey: Uint8Array): string {
  return bech32.encode('age', bech32.toWords(publicKey))
}

function decode(prefix: string, text: string): Uint8Array | undefined {
  const decoded = bech32.decodeUnsafe(text)
  if (decoded?.prefix !== prefix) return undefined
  const raw = bech32.fromWordsUnsafe(decoded.words)
  return raw instanceof Uint8Array && raw.length === 32 ? raw : undefined
}
