import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import { decodeIdentity, decodeRecipient, recipientOf } from '../secret/age-identity.ts'
import { privateKeyOf, publicKeyOf, rawPublicKey } from '../secret/x25519.ts'
import { StorageError } from './storage-error.ts'

const versionLine = 'age-encryption.org/v1'
const zeroNonce = Buffer.alloc(12)

/** No real header comes near this size: what is longer is not one. */
export const longestHeaderBytes = 64 * 1024

/** Secret keys (`AGE-SECRET-KEY-1…`), one or several of which any may open what is sealed. */
export type Identities = string | readonly string[]

/** Writes an age v1 header that wraps the file key for every recipient, its last newline included. */
export function wrapFileKey(fileKey: Buffer, recipients: readonly string[]): Buffer {
  const ephemeral = () => generateKeyPairSync('x25519').privateKey
  return headerOf(
    fileKey,
    recipients.map((recipient) => wrapFor(publicKeyOf(decodeRecipient(recipient)), fileKey, ephemeral())),
  )
}

function headerOf(fileKey: Buffer, stanzas: readonly string[]): Buffer {
  const authenticated = `${[versionLine, ...stanzas].join('\n')}\n---`
  return Buffer.from(`${authenticated} ${encode(headerMac(fileKey, authenticated))}\n`, 'latin1')
}

/** Where the header ends (after its last newline), or undefined while it is still incomplete. */
export function headerLength(bytes: Buffer): number | undefined {
  const macLine = bytes.indexOf('\n--- ', 0, 'latin1')
  const end = macLine < 0 ? -1 : bytes.indexOf(0x0a, macLine + 1)
  return end < 0 ? undefined : end + 1
}

/**
 * Takes the file key out of a complete header, by whichever of the identities opens one of its stanzas.
 * Throws WRONG_KEY when none does, ARTIFACT_DAMAGED when the header is not as age wrote it.
 */
export function unwrapFileKey(header: Buffer, identities: Identities, subject: string): Buffer {
  const damaged = () => new StorageError('ARTIFACT_DAMAGED', subject, `${subject}: the age header is damaged.`)
  const text = header.toString('latin1')
  const macAt = text.lastIndexOf('\n--- ') + 1
  const mac = decode(text.slice(macAt + 4, -1))
  const stanzas = stanzasOf(text.slice(0, macAt))
  if (!stanzas || mac?.length !== 32) throw damaged()
  for (const identity of typeof identities === 'string' ? [identities] : identities) {
    const privateKey = privateKeyOf(decodeIdentity(identity))
    for (const stanza of stanzas) {
      const fileKey = stanza.args[0] === 'X25519' ? unwrapWith(privateKey, stanza) : undefined
      if (!fileKey) continue
      if (!timingSafeEqual(headerMac(fileKey, text.slice(0, macAt + 3)), mac)) throw damaged()
      return fileKey
    }
  }
  throw new StorageError('WRONG_KEY', subject, `${subject} is not sealed for this key, or its header is damaged.`)
}

/**
 * The same sealed bytes under a header for other recipients: the payload stays as it is, and no plain byte is seen. The same
 * bytes and recipients always give the same result, so that to do it again, or twice at once, changes nothing. What is wrapped
 * for a recipient whose identity is given stays as it is, so that the bytes of before can be had back.
 */
export function rewrap(
  sealed: Buffer,
  { identities, recipients, subject }: { identities: Identities; recipients: readonly string[]; subject: string },
): Buffer {
  const end = headerLength(sealed.subarray(0, longestHeaderBytes))
  if (end === undefined) {
    throw new StorageError('ARTIFACT_DAMAGED', subject, `${subject} does not begin with an age header.`)
  }
  const header = sealed.subarray(0, end)
  const fileKey = unwrapFileKey(header, identities, subject)
  const kept = wrappedFor(header, identities)
  // As secret as the file key, and its own for each recipient: an ephemeral key in all but chance.
  const ephemeralFor = (recipient: string) => privateKeyOf(derive(fileKey, Buffer.from(recipient), 'holdfast rewrap'))
  const stanzas = recipients.map(
    (recipient) =>
      kept.get(recipient) ?? wrapFor(publicKeyOf(decodeRecipient(recipient)), fileKey, ephemeralFor(recipient)),
  )
  return Buffer.concat([headerOf(fileKey, stanzas), sealed.subarray(end)])
}

/** The stanzas of a header that each of the identities opens, as they are written, by its recipient. */
function wrappedFor(header: Buffer, identities: Identities): Map<string, string> {
  const text = header.toString('latin1')
  const stanzas = stanzasOf(text.slice(0, text.lastIndexOf('\n--- ') + 1)) ?? []
  const found = new Map<string, string>()
  for (const identity of typeof identities === 'string' ? [identities] : identities) {
    const privateKey = privateKeyOf(decodeIdentity(identity))
    const own = stanzas.find((stanza) => stanza.args[0] === 'X25519' && unwrapWith(privateKey, stanza))
    if (own) found.set(recipientOf(identity), `-> ${own.args.join(' ')}\n${encode(own.body)}`)
  }
  return found
}

/** The key of the payload's chunks. */
export function payloadKey(fileKey: Buffer, nonce: Buffer): Buffer {
  return derive(fileKey, nonce, 'payload')
}

interface Stanza {
  args: string[]
  body: Buffer
}

function stanzasOf(text: string): Stanza[] | undefined {
  const lines = text.split('\n')
  if (lines.shift() !== versionLine || lines.pop() !== '') return undefined
  const stanzas: Stanza[] = []
  while (lines.length > 0) {
    const args = lines.shift()?.split(' ') ?? []
    if (args.shift() !== '->' || args.length === 0 || !args.every((arg) => /^[!-~]+$/.test(arg))) return undefined
    let encoded = ''
    for (let line = lines.shift(); ; line = lines.shift()) {
      if (line === undefined || line.length > 64) return undefined
      encoded += line
      if (line.length < 64) break
    }
    const body = decode(encoded)
    if (!body) return undefined
    stanzas.push({ args, body })
  }
  return stanzas
}

function wrapFor(recipient: KeyObject, fileKey: Buffer, ephemeral: KeyObject): string {
  const share = rawPublicKey(ephemeral)
  const shared = diffieHellman({ privateKey: ephemeral, publicKey: recipient })
  const cipher = createCipheriv('chacha20-poly1305', wrappingKey(shared, share, recipient), zeroNonce, {
    authTagLength: 16,
  })
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
  return `-> X25519 ${encode(share)}\n${encode(body)}`
}

function unwrapWith(privateKey: KeyObject, { args, body }: Stanza): Buffer | undefined {
  const share = args.length === 2 ? decode(args[1] ?? '') : undefined
  if (share?.length !== 32 || body.length !== 32) return undefined
  try {
    const shared = diffieHellman({ privateKey, publicKey: publicKeyOf(share) })
    const key = wrappingKey(shared, share, privateKey)
    const decipher = createDecipheriv('chacha20-poly1305', key, zeroNonce, { authTagLength: 16 })
    decipher.setAuthTag(body.subarray(16))
    return Buffer.concat([decipher.update(body.subarray(0, 16)), decipher.final()])
  } catch {
    // Sealed for someone else: the other stanzas are still to be tried.
    return undefined
  }
}

function wrappingKey(shared: Buffer, share: Buffer, recipient: KeyObject): Buffer {
  return derive(shared, Buffer.concat([share, rawPublicKey(recipient)]), `${versionLine}/X25519`)
}

function headerMac(fileKey: Buffer, authenticated: string): Buffer {
  return createHmac('sha256', derive(fileKey, Buffer.alloc(0), 'header'))
    .update(authenticated, 'latin1')
    .digest()
}

function derive(key: Buffer, salt: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, purpose, 32))
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}

function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return encode(bytes) === text ? bytes : undefined
}
