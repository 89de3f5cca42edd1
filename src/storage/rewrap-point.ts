import { createHash } from 'node:crypto'
import { type Identities, rewrap } from './age-header.ts'
import type { Storage } from './contract.ts'
import type { FormerKey } from './keyring.ts'
import { type HeaderFacts, readPointHeader } from './point-header.ts'
import { jsonText, mostSealedBytes, readSmall, requireDigest } from './sealed-json.ts'
import { isAboutStored } from './storage-error.ts'
import { headerKey, manifestKey, type PointHeader, putPointHeader } from './vault-layout.ts'

export interface RewrapPoint {
  /** Of which one opens the manifest now. */
  identities: Identities
  /** For whom it is sealed afterwards. */
  recipients: readonly string[]
  /** The sha256, in hex, of the manifests that may lie there: the recorded one, and one that was announced before. */
  storedSha256: readonly string[]
  /** What the point's header has to say. */
  facts: HeaderFacts
  /** Is told what was wrong with that header alone, which has been written anew then. */
  onHeaderDamage: (sentence: string) => void
  /** Is told the sha256 that the manifest has and the one that it will have, and has written them down when it resolves. */
  announce: (digests: { present: string; next: string }) => Promise<void>
}

/**
 * Lets other keys open a point's manifest: its sealed bytes get another header in front, and the point's own header names
 * them then. It holds at every moment: what the manifest will be is announced, and written into the point's header, before
 * it is replaced; the same work done again, or by two at once, ends in the same bytes. Answers the manifest's sha256.
 * Throws ARTIFACT_DAMAGED, STORAGE_OBJECT_MISSING or WRONG_KEY, naming the manifest, when that is not as it was written.
 */
export async function rewrapPoint(
  storage: Storage,
  prefix: string,
  { identities, recipients, storedSha256, facts, onHeaderDamage, announce }: RewrapPoint,
): Promise<string> {
  const key = manifestKey(prefix)
  const stored = await readSmall(storage, key, { mostBytes: mostSealedBytes })
  requireDigest(key, stored, storedSha256)
  const lying = await headerOrDamage(storage, prefix, facts)
  const rewrapped = rewrap(stored, { identities, recipients, subject: key })
  const [present, next] = [sha256Of(stored), sha256Of(rewrapped)]
  await announce({ present, next })
  const header = typeof lying === 'string' ? await mendedHeader(storage, prefix, { facts, stored }) : lying
  if (typeof lying === 'string') onHeaderDamage(lying)
  const putHeader = (manifest: PointHeader['manifest']) =>
    storage.replace(headerKey(prefix), Buffer.from(jsonText({ ...header, manifest })))
  if (next !== present) {
    await putHeader({ storedBytes: stored.length, storedSha256: present, rewrappedSha256: next })
    await storage.replace(key, rewrapped)
  }
  const { manifest } = header
  if (next !== present || manifest.storedSha256 !== next || manifest.rewrappedSha256 !== undefined) {
    await putHeader({ storedBytes: rewrapped.length, storedSha256: next })
  }
  return next
}

/** The header that lies there, or the sentence that says what is wrong with it. */
async function headerOrDamage(storage: Storage, prefix: string, facts: HeaderFacts): Promise<PointHeader | string> {
  const key = headerKey(prefix)
  try {
    const header = await readPointHeader(storage, prefix)
    const { recoveryPointId, instanceId, vaultId, createdAt } = facts
    const isRight =
      header.recoveryPointId === recoveryPointId &&
      header.instanceId === instanceId &&
      header.vaultId === vaultId &&
      header.createdAt === createdAt
    return isRight ? header : `${key} is damaged: it does not say what is known of the point.`
  } catch (cause) {
    if (isAboutStored(cause) && cause.subject === key) return cause.message
    throw cause
  }
}

/** Puts a right header there, of the manifest as it is stored now. */
async function mendedHeader(
  storage: Storage,
  prefix: string,
  { facts: { createdAt, ...header }, stored }: { facts: HeaderFacts; stored: Buffer },
): Promise<PointHeader> {
  const manifest = { storedBytes: stored.length, storedSha256: sha256Of(stored) }
  await putPointHeader(storage, prefix, { header, manifest, createdAt: new Date(createdAt) })
  return readPointHeader(storage, prefix)
}

/**
 * Whether a manifest is, but for the keys wrapped around it, byte for byte one that has one of these sha256: it was
 * re-wrapped by rotations since. No other bytes than those get that answer, whoever sealed them.
 */
export function isRewrapOf(
  stored: Buffer,
  {
    keys,
    recipient,
    storedSha256,
    subject,
  }: {
    keys: readonly FormerKey[]
    /** The key that it was sealed for first: that of its artifacts. */
    recipient: string
    storedSha256: readonly string[]
    subject: string
  },
): boolean {
  const identities = keys.map(({ identity }) => identity)
  const before = [
    [recipient],
    ...keys.filter((key) => key.recipient !== recipient).map((key) => [key.recipient, recipient]),
  ]
  return before.some((recipients) =>
    storedSha256.includes(sha256Of(rewrap(stored, { identities, recipients, subject }))),
  )
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
