import { buffer } from 'node:stream/consumers'
import { type CopyReader, readCopy } from '../database/copy/in.ts'
import { recipientOf } from '../secret/age-identity.ts'
import { openArtifact } from '../storage/artifact.ts'
import type { Storage } from '../storage/contract.ts'
import { type FormerKey, readKeyring, sealedFor } from '../storage/keyring.ts'
import {
  listMetadataFolders,
  type MetadataHeader,
  metadataKey,
  readMetadataHeader,
} from '../storage/metadata-copies.ts'
import { isAboutStored, StorageError } from '../storage/storage-error.ts'
import { proveIdentity, readVaultHeader } from '../storage/vault-header.ts'
import { RecoveryRefused } from './refused.ts'

const ageHeaderBytes = 64 * 1024
/** How far clocks of two machines may be apart. */
const clockToleranceMs = 5 * 60_000

/** A whole copy in the vault. */
export interface FoundCopy {
  prefix: string
  /** Null: its header cannot be read. */
  header: MetadataHeader | null
}

/** A vault, and what opens things in it. */
export interface OpenedVault {
  vaultId: string
  /** Its present key. */
  recipient: string
  /** Whether a key was given that opens all; else it is a former one, which opens what was sealed until it was rotated. */
  isPresentKey: boolean
  /** The key that was given, then those that it opens, newest first. */
  identities: string[]
  /** What is wrong with former keys that the present one should open. */
  lostKeys: StorageError[]
}

/**
 * Which vault a place is, and the keys that those given open. The present one is asked for first, then the former, for what
 * they open is better than nothing. Refuses a place that is no vault, and keys of which none ever was the vault's.
 */
export async function openVault(storage: Storage, identities: readonly string[]): Promise<OpenedVault> {
  const header = await readVaultHeader(storage)
  if (!header) throw new RecoveryRefused(`The ${storage.description} holds no vault: is its disk mounted?`)
  const { vaultId, recipient, formerRecipients = [] } = header
  const given = new Map(identities.map((identity) => [recipientOf(identity), identity]))
  const found = [recipient, ...formerRecipients.toReversed()].find((each) => given.has(each))
  const identity = given.get(found ?? '')
  if (identity === undefined) {
    throw new RecoveryRefused(`The recovery key is not that of this vault, which is sealed for ${recipient}.`)
  }
  const isPresentKey = found === recipient
  if (isPresentKey) await proveIdentity(header, identity)
  const { keys, lost } = await readKeyring(storage, header, identity)
  const opened = keys.map((key) => key.identity).toReversed()
  // The keyring is sealed for the present key: that a former one does not open it is as it should be.
  const lostKeys = isPresentKey ? lost : []
  return { vaultId, recipient, isPresentKey, identities: [...new Set([identity, ...opened])], lostKeys }
}

/**
 * Those copies that a key opens, of all; the others were sealed for a later one. The first bytes of each say it. One where they
 * are damaged or gone is among them: who takes that one is told.
 */
export async function copiesFor(
  storage: Storage,
  copies: readonly FoundCopy[],
  identities: readonly string[],
): Promise<FoundCopy[]> {
  const keys = identities.map((identity) => ({ identity, recipient: recipientOf(identity) }))
  const opened: FoundCopy[] = []
  for (const copy of copies) {
    if (await mayOpen(storage, metadataKey(copy.prefix), keys)) opened.push(copy)
  }
  return opened
}

async function mayOpen(storage: Storage, subject: string, keys: readonly FormerKey[]): Promise<boolean> {
  try {
    const start = await buffer(await storage.read(subject, { end: ageHeaderBytes }))
    return sealedFor(start, { keys, subject }) !== undefined
  } catch (cause) {
    if (isAboutStored(cause)) return true
    throw cause
  }
}

/** All whole copies, newest first; those whose header cannot be read come last. */
export async function listCopies(storage: Storage): Promise<FoundCopy[]> {
  const folders = (await listMetadataFolders(storage)).filter(({ isWhole }) => isWhole)
  const copies: FoundCopy[] = []
  for (const { prefix } of folders) {
    const header = await readMetadataHeader(storage, prefix).catch((cause) => {
      if (cause instanceof StorageError && cause.code === 'ARTIFACT_DAMAGED') return null
      throw cause
    })
    copies.push({ prefix, header })
  }
  return copies.sort((left, right) => momentOf(right) - momentOf(left))
}

export interface ChosenCopy {
  prefix: string
  header: MetadataHeader
}

/**
 * The newest copy, or the newest of a moment or before. An older one is never taken by itself: a newest one whose header is
 * damaged is refused, for nobody would learn what is missing. So is one that is dated after now: a clock was wrong, and it may
 * be older than others.
 */
export function chooseCopy(copies: readonly FoundCopy[], at: Date | null, now: Date): ChosenCopy {
  const unreadable = copies.filter(({ header }) => header === null)
  if (at === null && unreadable.length > 0) {
    const names = unreadable.map(({ prefix }) => prefix).join(', ')
    throw new RecoveryRefused(`The header of ${names} is damaged. ${adviceFor(copies, now)}`)
  }
  const [newest] = copies
  if (at === null && newest && momentOf(newest) > now.getTime() + clockToleranceMs) {
    const moment = new Date(momentOf(newest)).toISOString()
    const what = `The newest copy is dated ${moment}, and by the clock here it is ${now.toISOString()}: one of the two clocks was wrong. Set the one here right if it is that; else the copy may be older than others.`
    throw new RecoveryRefused(`${what} Take it all the same by --at ${moment}. ${adviceFor(copies, now)}`)
  }
  for (const { prefix, header } of copies) {
    if (header && (at === null || new Date(header.createdAt) <= at)) return { prefix, header }
  }
  const which = at === null ? '' : ` of ${at.toISOString()} or before`
  throw new RecoveryRefused(`The vault holds no copy of the metadata${which}. ${adviceFor(copies, null)}`)
}

/** Opens a copy; every stored byte of it has been compared with its digest. Damage is told with the next older copy. */
export async function openCopy(
  storage: Storage,
  { prefix, header }: ChosenCopy,
  { identities, copies }: { identities: readonly string[]; copies: readonly FoundCopy[] },
): Promise<CopyReader> {
  try {
    return await readCopy(
      await openArtifact(storage, metadataKey(prefix), { identity: identities, compression: 'ZSTD', digest: header }),
    )
  } catch (cause) {
    throw damaged(cause, header, copies)
  }
}

/** Says of a damaged copy which other one could be taken; any other failure is answered as it is. */
export function damaged(cause: unknown, header: MetadataHeader, copies: readonly FoundCopy[]): unknown {
  if (!(cause instanceof StorageError) || !['ARTIFACT_DAMAGED', 'STORAGE_OBJECT_MISSING'].includes(cause.code))
    return cause
  return new RecoveryRefused(
    `The copy of ${header.createdAt} is damaged: ${cause.message} ${adviceFor(copies, new Date(header.createdAt))}`,
  )
}

function adviceFor(copies: readonly FoundCopy[], before: Date | null): string {
  const older = copies.find(({ header }) => header && (before === null || new Date(header.createdAt) < before))?.header
  return older
    ? `Take the one of ${older.createdAt} by --at ${older.createdAt}.`
    : 'There is no older one: look for a second vault, or start anew and run importVault on this one.'
}

function momentOf({ header }: FoundCopy): number {
  return header === null ? -1 : new Date(header.createdAt).getTime()
}
