import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

// The fixed DER headers of an X25519 key (RFC 8410); the 32 bytes of the key follow.
const privateKeyHeader = Buffer.from('302e020100300506032b656e04220420', 'hex')
const publicKeyHeader = Buffer.from('302a300506032b656e032100', 'hex')

/** Makes a key object of a raw private key of 32 bytes. */
export function privateKeyOf(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([privateKeyHeader, raw]), format: 'der', type: 'pkcs8' })
}

/** Makes a key object of a raw public key of 32 bytes. */
export function publicKeyOf(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([publicKeyHeader, raw]), format: 'der', type: 'spki' })
}

/** The raw 32 bytes of a private key. */
export function rawPrivateKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'pkcs8' }).subarray(-32)
}

/** The raw 32 bytes of the public key that belongs to a key, private or public. */
export function rawPublicKey(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
}
