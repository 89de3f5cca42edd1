import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import { link, open, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SecretError } from './secret-error.ts'

/** Seals short texts (passwords, identities) for the metadata database with the key of one key file. */
export interface SecretBox {
  /** Answers `v1.<base64url>`: AES-256-GCM under a fresh random nonce. */
  seal(plain: string): string
  /** Opens what `seal` answered; throws WRONG_KEY or SEALED_TEXT_INVALID. */
  open(sealed: string): string
}

const version = 'v1.'
const nonceBytes = 12
const tagBytes = 16

/**
 * Opens the box of a key file, making the file (32 random bytes, mode 0600, durable) when there is none.
 * Refuses a key file that others may read or write (KEY_FILE_UNSAFE) or that is no key (KEY_FILE_INVALID).
 */
export async function openSecretBox(keyFile: string): Promise<SecretBox> {
  return boxOf((await readKey(keyFile)) ?? (await createKey(keyFile)))
}

/** As openSecretBox, but makes nothing: undefined when there is no key file. */
export async function findSecretBox(keyFile: string): Promise<SecretBox | undefined> {
  const key = await readKey(keyFile)
  return key && boxOf(key)
}

function boxOf(key: Buffer): SecretBox {
  return { seal: (plain) => seal(key, plain), open: (sealed) => unseal(key, sealed) }
}

function seal(key: Buffer, plain: string): string {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const body = [nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]
  return version + Buffer.concat(body).toString('base64url')
}

function unseal(key: Buffer, sealed: string): string {
  const text = sealed.slice(version.length)
  const body = Buffer.from(text, 'base64url')
  if (!sealed.startsWith(version) || body.length < nonceBytes + tagBytes || body.toString('base64url') !== text)
    throw new SecretError('SEALED_TEXT_INVALID', 'The sealed text is not one that this version of the service wrote.')
  const decipher = createDecipheriv('aes-256-gcm', key, body.subarray(0, nonceBytes), { authTagLength: tagBytes })
  decipher.setAuthTag(body.subarray(-tagBytes))
  try {
    return decipher.update(body.subarray(nonceBytes, -tagBytes), undefined, 'utf8') + decipher.final('utf8')
  } catch (cause) {
    const message = 'The key file does not open this secret: it is another key, or the secret was changed.'
    throw new SecretError('WRONG_KEY', message, { cause })
  }
}

async function readKey(keyFile: string): Promise<Buffer | undefined> {
  const file = await open(keyFile, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!file) return undefined
  try {
    const { mode, size } = await file.stat()
    if ((mode & 0o077) !== 0)
      throw new SecretError('KEY_FILE_UNSAFE', `The key file ${keyFile} is open to other users: run chmod 600 on it.`)
    if (size !== 32)
      throw new SecretError('KEY_FILE_INVALID', `The key file ${keyFile} holds ${size} bytes where a key has 32.`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

async function createKey(keyFile: string): Promise<Buffer> {
  const temporary = join(dirname(keyFile), `.${basename(keyFile)}.${randomUUID()}`)
  const key = randomBytes(32)
  try {
    await writeDurably(temporary, key)
    await link(temporary, keyFile)
    await syncFolder(dirname(keyFile))
    return key
  } catch (error) {
    // Another process made the key at the same moment: theirs is the one that counts.
    const theirs = isExisting(error) ? await readKey(keyFile) : undefined
    if (theirs) return theirs
    throw error
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
}

async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST'
}
