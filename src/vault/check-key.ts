import { isNotNull } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { notificationChannels } from '../database/tables/notification.ts'
import { postgresServers } from '../database/tables/server.ts'
import { storageAccounts } from '../database/tables/storage-account.ts'
import { type VaultLocation, vaults } from '../database/tables/vault.ts'
import { keyFileCanary, vaultKeys } from '../database/tables/vault-key.ts'
import { findSecretBox, openSecretBox, type SecretBox } from '../secret/secret-box.ts'

/** The key file is not the one that the stored secrets were sealed with, or it is gone. */
export class WrongKeyFile extends Error {}

const canaryText = 'holdfast key file'

/** One secret that the metadata database keeps sealed. */
interface SealedSecret {
  what: string
  sealed: string
  /** Whether it is a vault's own key: nobody can give that anew, as a password can be. */
  isVaultKey: boolean
}

/**
 * Opens the secrets with the key file, after making sure that it is the one they were sealed with: by a canary that the
 * first start leaves in the database, and by opening all of them. A key file is made only where nothing is sealed yet.
 * Throws WrongKeyFile, and nothing is changed or left behind. Answers also which secrets cannot be read all the same, such
 * as passwords that were sealed with another key once: they can be given anew.
 */
export async function unlockSecrets(
  database: Database,
  { keyFile, now }: { keyFile: string; now: Date },
): Promise<{ secrets: SecretBox; unreadable: string[] }> {
  return database.transaction(async (tx) => {
    // Of two first starts with key files of their own, one seals the canary and the other is refused before it makes a file.
    await tx.execute('lock table key_file_canary in exclusive mode')
    const [canary] = await tx.select().from(keyFileCanary)
    const sealed = await findSealed(tx)
    const existing = await findSecretBox(keyFile)
    if (!existing && (canary || sealed.length > 0)) {
      throw new WrongKeyFile(
        `The key file ${keyFile} is not there, and the metadata database keeps secrets that only it opens: ${putBack}`,
      )
    }
    const secrets = existing ?? (await openSecretBox(keyFile))
    if (canary && !opens(secrets, canary.sealed, canaryText)) {
      throw new WrongKeyFile(`The key file ${keyFile} is not the one that Holdfast was first started with: ${putBack}`)
    }
    const unreadable = sealed.filter((secret) => !opens(secrets, secret.sealed))
    const lost = unreadable.find(({ isVaultKey }) => isVaultKey)
    // Before there was a canary, one secret that it opens shows that the key file is right.
    const isUnproven = !canary && sealed.length > 0 && unreadable.length === sealed.length
    const witness = lost ?? (isUnproven ? unreadable[0] : undefined)
    if (witness) throw new WrongKeyFile(`The key file ${keyFile} does not open ${witness.what}: ${putBack}`)
    if (!canary) await tx.insert(keyFileCanary).values({ id: 'key', sealed: secrets.seal(canaryText), createdAt: now })
    return { secrets, unreadable: unreadable.map(({ what }) => what) }
  })
}

const putBack = 'put back the one that Holdfast was first started with, or name it in HOLDFAST_KEY_FILE.'

async function findSealed(tx: Database): Promise<SealedSecret[]> {
  const allVaults = await tx.select().from(vaults)
  const keys = await tx.select().from(vaultKeys)
  const servers = await tx.select().from(postgresServers).where(isNotNull(postgresServers.sealedPassword))
  const channels = await tx.select().from(notificationChannels).where(isNotNull(notificationChannels.sealedSecret))
  const accounts = await tx.select().from(storageAccounts)
  const named = new Map(allVaults.map(({ id, name }) => [id, name]))
  const other = (what: string, sealed: string | null) => (sealed === null ? [] : [{ what, sealed, isVaultKey: false }])
  return [
    ...allVaults.map(({ name, sealedIdentity }) => vaultKey(`the key of vault "${name}"`, sealedIdentity)),
    ...keys.map((key) => vaultKey(`the key ${key.recipient} of vault "${named.get(key.vaultId)}"`, key.sealedIdentity)),
    ...allVaults.flatMap(({ name, location }) => other(`the access key of vault "${name}"`, accessKeyOf(location))),
    ...accounts.flatMap(({ name, location }) =>
      other(`the access key of storage account "${name}"`, accessKeyOf(location)),
    ),
    ...servers.flatMap(({ name, sealedPassword }) => other(`the password for server "${name}"`, sealedPassword)),
    ...channels.flatMap(({ name, sealedSecret }) =>
      other(`the secret of notification channel "${name}"`, sealedSecret),
    ),
  ]
}

function vaultKey(what: string, sealed: string): SealedSecret {
  return { what, sealed, isVaultKey: true }
}

function accessKeyOf(location: VaultLocation): string | null {
  return location.kind === 'S3' ? location.sealedSecretAccessKey : null
}

function opens(secrets: SecretBox, sealed: string, expected?: string): boolean {
  try {
    const text = secrets.open(sealed)
    return expected === undefined || text === expected
  } catch {
    return false
  }
}
