import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chooseCopy, copiesFor, listCopies, openVault } from '../../src/recover/find-copy.ts'
import { type Recovered, recover } from '../../src/recover/recover.ts'
import { readSettings } from '../../src/settings.ts'
import { directoryStorage } from '../../src/storage/directory.ts'
import { emptyDatabase } from './fresh-database.ts'

/** A service that was brought back, and has not been started yet. */
export interface RecoveredService extends AsyncDisposable {
  databaseUrl: string
  /** Where its key file is. */
  folder: string
  recovered: Recovered
}

/** Brings a service back from a vault in a directory, as the program does, into a folder and a metadata database of its own. */
export async function recoverFrom(
  vaultPath: string,
  { recoveryKey, folder, at = null }: { recoveryKey: string; folder: string; at?: Date | null },
): Promise<RecoveredService> {
  const dataDirectory = join(folder, `recovered ${crypto.randomUUID()}`)
  await mkdir(dataDirectory, { recursive: true })
  const storage = directoryStorage(vaultPath)
  const { identities, isPresentKey } = await openVault(storage, [recoveryKey])
  const all = await listCopies(storage)
  const copies = isPresentKey ? all : await copiesFor(storage, all, identities)
  const database = await emptyDatabase()
  const settings = readSettings({ HOLDFAST_DATA_DIR: dataDirectory, DATABASE_URL: database.url })
  const asked = {
    location: { kind: 'DIRECTORY' as const, path: vaultPath },
    identities: [recoveryKey],
    dataDirectory,
    isListing: false,
    at,
  }
  const recovered = await recover({
    settings,
    asked,
    storage,
    copies,
    copy: chooseCopy(copies, at, new Date()),
    identities,
  })
  return {
    databaseUrl: database.url,
    folder: dataDirectory,
    recovered,
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}
