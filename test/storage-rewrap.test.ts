import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { Decrypter } from 'age-encryption'
import { describe, expect } from 'vitest'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { rewrap } from '../src/storage/age-header.ts'
import type { Storage } from '../src/storage/contract.ts'
import { directoryStorage } from '../src/storage/directory.ts'
import { keyringKey, readKeyring, writeKeyring } from '../src/storage/keyring.ts'
import { checkPointHeader } from '../src/storage/point-header.ts'
import { isRewrapOf, rewrapPoint } from '../src/storage/rewrap-point.ts'
import { readSealedJson, sealBytes, unsealBytes } from '../src/storage/sealed-json.ts'
import { proveIdentity, readVaultHeader, switchVaultKey } from '../src/storage/vault-header.ts'
import { checkVault, initialiseVault, manifestKey } from '../src/storage/vault-layout.ts'
import { writePointEnd } from './kit/point-end.ts'
import { test } from './kit/test.ts'

const [old, next, other] = [generateIdentity(), generateIdentity(), generateIdentity()]
const vaultId = crypto.randomUUID()
const now = new Date('2026-03-01T12:00:00Z')

describe('wrapping another key around sealed bytes', () => {
  test('lets the new key open them, and the stock library too, without touching the payload', async () => {
    const plain = Buffer.from('a manifest '.repeat(20_000))
    const sealed = await sealBytes(plain, [old.recipient])
    const both = {
      identities: [other.identity, old.identity],
      recipients: [next.recipient, old.recipient],
      subject: 'x',
    }
    const rewrapped = rewrap(sealed, both)
    for (const { identity } of [next, old]) {
      expect((await unsealBytes(rewrapped, identity, 'x')).equals(plain)).toBe(true)
      const decrypter = new Decrypter()
      decrypter.addIdentity(identity)
      expect(Buffer.from(await decrypter.decrypt(rewrapped)).equals(plain)).toBe(true)
    }
    const payload = (bytes: Buffer) => bytes.subarray(bytes.indexOf('\n', bytes.indexOf('\n--- ') + 1))
    expect(payload(rewrapped).equals(payload(sealed))).toBe(true)
    await expect(unsealBytes(rewrapped, other.identity, 'x')).rejects.toMatchObject({ code: 'WRONG_KEY' })
  })

  test('gives the same bytes however often it is done', async () => {
    const sealed = await sealBytes(Buffer.from('text'), [old.recipient])
    const recipients = [next.recipient, old.recipient]
    const once = rewrap(sealed, { identities: old.identity, recipients, subject: 'x' })
    expect(rewrap(sealed, { identities: old.identity, recipients, subject: 'x' }).equals(once)).toBe(true)
    const identities = [next.identity, old.identity]
    expect(rewrap(once, { identities, recipients, subject: 'x' }).equals(once)).toBe(true)
  })

  test('can be undone to the last byte, and by nothing else than those bytes', async () => {
    const keys = [other, next, old]
    const identities = keys.map(({ identity }) => identity)
    const sealed = await sealBytes(Buffer.from('text'), [old.recipient])
    const once = rewrap(sealed, { identities, recipients: [next.recipient, old.recipient], subject: 'x' })
    const twice = rewrap(once, { identities, recipients: [other.recipient, old.recipient], subject: 'x' })
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
    const how = { keys, recipient: old.recipient, subject: 'x' }
    for (const before of [sealed, once, twice]) {
      expect(isRewrapOf(twice, { ...how, storedSha256: [sha256(before)] })).toBe(true)
    }
    const forged = await sealBytes(Buffer.from('text'), [other.recipient, old.recipient])
    expect(isRewrapOf(forged, { ...how, storedSha256: [sealed, once, twice].map(sha256) })).toBe(false)
  })

  test('is refused to who has no key, and for what is no sealed object', async () => {
    const sealed = await sealBytes(Buffer.from('text'), [old.recipient])
    const how = { identities: other.identity, recipients: [next.recipient], subject: 'x' }
    expect(() => rewrap(sealed, how)).toThrow(expect.objectContaining({ code: 'WRONG_KEY' }))
    expect(() => rewrap(Buffer.from('text'), how)).toThrow(expect.objectContaining({ code: 'ARTIFACT_DAMAGED' }))
  })
})

describe('a vault whose key is rotated', () => {
  async function vaultIn(folder: string): Promise<Storage> {
    const storage = directoryStorage(`${folder}/vault`)
    await initialiseVault(storage, { vaultId, recipient: old.recipient, now })
    return storage
  }

  test('names the new key, is proven by it alone, and knows the former one, also when the change is made again', async ({
    folder,
  }) => {
    const storage = await vaultIn(folder)
    await writeKeyring(storage, [old], [next.recipient, old.recipient])
    for (const _ of ['first', 'again']) await switchVaultKey(storage, { from: old.recipient, to: next.recipient })
    const header = await readVaultHeader(storage)
    expect(header).toMatchObject({ vaultId, recipient: next.recipient, formerRecipients: [old.recipient] })
    if (!header) return
    await proveIdentity(header, next.identity)
    await expect(proveIdentity(header, old.identity)).rejects.toMatchObject({ code: 'WRONG_KEY' })
    for (const { recipient } of [old, next]) await checkVault(storage, { vaultId, recipient })
    await expect(checkVault(storage, { vaultId, recipient: other.recipient })).rejects.toMatchObject({
      code: 'WRONG_KEY',
    })
    expect(await readKeyring(storage, header, next.identity)).toEqual({ keys: [old], lost: [] })
  })

  test('keeps every former key openable by the newest one after several changes', async ({ folder }) => {
    const storage = await vaultIn(folder)
    await writeKeyring(storage, [old], [next.recipient, old.recipient])
    await switchVaultKey(storage, { from: old.recipient, to: next.recipient })
    await writeKeyring(storage, [next, old], [other.recipient, next.recipient])
    await switchVaultKey(storage, { from: next.recipient, to: other.recipient })
    const header = await readVaultHeader(storage)
    expect(header && (await readKeyring(storage, header, other.identity)).keys).toEqual([old, next])
  })

  test('refuses a keyring that holds another key than its name says', async ({ folder }) => {
    const storage = await vaultIn(folder)
    await writeKeyring(storage, [{ ...old, identity: other.identity }], [next.recipient])
    await switchVaultKey(storage, { from: old.recipient, to: next.recipient })
    const header = await readVaultHeader(storage)
    expect(header && (await readKeyring(storage, header, next.identity))).toMatchObject({
      keys: [],
      lost: [{ code: 'ARTIFACT_DAMAGED', subject: keyringKey(old.recipient) }],
    })
  })

  test('is not changed when its present key is another one than was thought', async ({ folder }) => {
    const storage = await vaultIn(folder)
    const before = await readVaultHeader(storage)
    const change = switchVaultKey(storage, { from: other.recipient, to: next.recipient })
    await expect(change).rejects.toMatchObject({ code: 'WRONG_KEY' })
    expect(await readVaultHeader(storage)).toEqual(before)
  })
})

describe('the re-wrapping of a point', () => {
  const prefix = `points/${crypto.randomUUID()}/${crypto.randomUUID()}.1/`
  const ids = { recoveryPointId: crypto.randomUUID(), instanceId: prefix.split('/')[1] ?? '', vaultId }
  const header = {
    facts: { ...ids, createdAt: now.toISOString() },
    onHeaderDamage: (sentence: string) => expect.unreachable(sentence),
  }

  async function pointIn(folder: string) {
    const storage = directoryStorage(`${folder}/vault`)
    await storage.prepare()
    const manifest = { tables: Array.from({ length: 5000 }, (_, n) => `table ${n}`) }
    const recipients = [old.recipient]
    const { storedSha256 } = await writePointEnd(storage, prefix, { recipients, manifest, header: ids, createdAt: now })
    return { storage, manifest, storedSha256 }
  }

  /** A storage that dies at the so many-th replacement, before it or after it. */
  function dyingAt(storage: Storage, death: number, when: 'before' | 'after'): Storage {
    let count = 0
    return {
      ...storage,
      replace: async (key, bytes) => {
        count += 1
        if (count === death && when === 'before') throw new Error('killed')
        await storage.replace(key, bytes)
        if (count === death) throw new Error('killed')
      },
    }
  }

  test.for([1, 2, 3].flatMap((death) => (['before', 'after'] as const).map((when) => ({ death, when }))))(
    'killed $when its replacement $death leaves a point that readers take, and ends the same when it is done again',
    async ({ death, when }, { folder }) => {
      const { storage, manifest, storedSha256 } = await pointIn(folder)
      const recipients = [next.recipient, old.recipient]
      const known = [storedSha256]
      const how = {
        ...header,
        identities: [old.identity],
        recipients,
        announce: async (digests: { present: string; next: string }) => {
          known.splice(0, known.length, digests.present, digests.next)
        },
      }
      const killed = rewrapPoint(dyingAt(storage, death, when), prefix, { ...how, storedSha256: known })
      await expect(killed).rejects.toThrow('killed')
      const key = manifestKey(prefix)
      const reading = { identity: [old.identity, next.identity], storedSha256: known }
      expect(await readSealedJson(storage, key, reading)).toEqual(manifest)
      await checkPointHeader(storage, prefix, { storedSha256: known })
      const digest = await rewrapPoint(storage, prefix, { ...how, storedSha256: known })
      const stored = await buffer(await storage.read(key))
      expect(createHash('sha256').update(stored).digest('hex')).toBe(digest)
      expect(await readSealedJson(storage, key, { identity: next.identity, storedSha256: digest })).toEqual(manifest)
      await checkPointHeader(storage, prefix, { storedSha256: digest })
      await expect(checkPointHeader(storage, prefix, { storedSha256 })).rejects.toMatchObject({
        code: 'ARTIFACT_DAMAGED',
      })
    },
  )

  test('done by two at once ends in one manifest', async ({ folder }) => {
    const { storage, storedSha256 } = await pointIn(folder)
    const how = { ...header, identities: [old.identity], recipients: [next.recipient], announce: async () => {} }
    const rewrapping = [1, 2].map(() => rewrapPoint(storage, prefix, { ...how, storedSha256: [storedSha256] }))
    const [first, second] = await Promise.all(rewrapping)
    expect(second).toBe(first)
    await checkPointHeader(storage, prefix, { storedSha256: first ?? '' })
  })

  test('replaces nothing of a manifest that is not the recorded one', async ({ folder }) => {
    const { storage } = await pointIn(folder)
    const before = await buffer(await storage.read(manifestKey(prefix)))
    const how = { ...header, identities: [old.identity], recipients: [next.recipient], announce: async () => {} }
    const refused = rewrapPoint(storage, prefix, { ...how, storedSha256: ['0'.repeat(64)] })
    await expect(refused).rejects.toMatchObject({ code: 'ARTIFACT_DAMAGED', subject: manifestKey(prefix) })
    expect((await buffer(await storage.read(manifestKey(prefix)))).equals(before)).toBe(true)
  })
})
