import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectDatabase, type Database } from '../database/connect.ts'
import type { CopyReader } from '../database/copy/in.ts'
import { migrateTo } from '../database/copy/migrate-to.ts'
import { migrateDatabase } from '../database/migrate.ts'
import { vaults } from '../database/tables/vault.ts'
import { recipientOf } from '../secret/age-identity.ts'
import { openSecretBox, type SecretBox } from '../secret/secret-box.ts'
import type { Settings } from '../settings.ts'
import type { Storage } from '../storage/contract.ts'
import { placeOf } from '../vault/location.ts'
import { cancelRestores, endVaultJobs, moveVault, sealKeysAnew } from './adopt.ts'
import type { Asked } from './arguments.ts'
import { type ChosenCopy, damaged, type FoundCopy, openCopy } from './find-copy.ts'
import { countUnknownPoints } from './find-newer-points.ts'
import { preparePlace, scratch } from './place.ts'
import { putRemovalsOff, type RemovalsPutOff } from './rest.ts'

export interface Recovery {
  settings: Settings
  asked: Asked
  storage: Storage
  copies: readonly FoundCopy[]
  copy: ChosenCopy
  /** The recovery key of the vault, and the keys that it had before: a copy may be sealed for any. */
  identities: readonly string[]
}

/** What was brought back, to be told. */
export interface Recovered {
  /** The key that the copy has for the vault; the vault has another one where that was rotated since. */
  recipient: string
  hasKeyFile: boolean
  rowCount: number
  cancelledRestores: number
  /** Backups that were pending in the copy: they are not gone on with. */
  endedBackups: number
  /** Whole points in the vault that are newer than the copy; null when they could not be counted, which undoes nothing. */
  unknownPointCount: number | null
  removals: RemovalsPutOff
  /** The other vaults, each with the place where it is expected. */
  otherVaults: { name: string; place: string }[]
}

/**
 * Brings a service back out of a copy of its metadata: all of it, or nothing that could be taken for a service. The data
 * directory is locked by the caller.
 */
export async function recover({ settings, asked, storage, copies, copy, identities }: Recovery): Promise<Recovered> {
  const reader = await openCopy(storage, copy, { identities, copies })
  const place = await preparePlace(settings)
  try {
    const rowCount = await fill(place.url, reader).catch((cause) => {
      throw damaged(cause, copy.header, copies)
    })
    const key = reader.facts.keyFile === null ? randomBytes(32) : Buffer.from(reader.facts.keyFile, 'base64')
    await using connection = connectDatabase(place.url)
    const { database } = connection
    const secrets = await boxOf(key, settings.dataDirectory)
    if (reader.facts.keyFile === null) {
      await sealKeysAnew(database, { identityOf: keysOf([...asked.identities, ...identities]), secrets })
    }
    const now = new Date()
    const { recipient } = await moveVault(database, {
      vaultId: copy.header.vaultId,
      found: asked.location,
      secrets,
      now,
    })
    const ended = await endVaultJobs(database)
    const cancelledRestores = await cancelRestores(database, now)
    const recovered = {
      recipient,
      hasKeyFile: reader.facts.keyFile !== null,
      rowCount,
      cancelledRestores,
      endedBackups: ended.backups,
      removals: await putRemovalsOff(database, { copiedAt: copy.header.createdAt }),
      unknownPointCount: await countUnknownPoints(database, storage.list('points/')).catch(() => null),
      otherVaults: await otherVaults(database, copy.header.vaultId),
    }
    await place.finish(key)
    return recovered
  } catch (cause) {
    await place.giveUp().catch((failure: Error) => {
      // What made it fail is what counts, and is not hidden by this.
      if (cause instanceof Error) cause.message += ` (What it left could not be removed: ${failure.message})`
    })
    throw cause
  }
}

async function fill(url: string, reader: CopyReader): Promise<number> {
  await migrateTo(url, reader.facts.migrations)
  const counts = await reader.fill(url)
  await migrateDatabase(url, { isRecovering: true })
  return [...counts.values()].reduce((sum, rows) => sum + rows, 0)
}

/** The box of a key that is in no file yet. */
async function boxOf(key: Buffer, dataDirectory: string): Promise<SecretBox> {
  const folder = await mkdtemp(join(dataDirectory, scratch))
  try {
    const path = join(folder, 'key')
    await writeFile(path, key, { mode: 0o600 })
    return await openSecretBox(path)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function keysOf(identities: readonly string[]): (recipient: string) => string | undefined {
  const byRecipient = new Map(identities.map((identity) => [recipientOf(identity), identity]))
  return (recipient) => byRecipient.get(recipient)
}

async function otherVaults(database: Database, vaultId: string): Promise<{ name: string; place: string }[]> {
  const all = await database.select().from(vaults)
  return all.filter(({ id }) => id !== vaultId).map(({ name, location }) => ({ name, place: placeOf(location) }))
}
