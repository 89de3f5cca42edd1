import { asc } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { vaults } from '../database/tables/vault.ts'
import type { SecretBox } from '../secret/secret-box.ts'

/** The key file is not the one that the stored secrets were sealed with. */
export class WrongKeyFile extends Error {}

/**
 * Makes sure that the key file opens what is stored already, before anything new is sealed with it: a key file that was
 * lost and made anew would open nothing of the past. Throws WrongKeyFile; nothing is changed.
 */
export async function checkKeyFile(
  database: Database,
  { secrets, keyFile }: { secrets: SecretBox; keyFile: string },
): Promise<void> {
  const [oldest] = await database.select().from(vaults).orderBy(asc(vaults.createdAt)).limit(1)
  if (!oldest) return
  try {
    secrets.open(oldest.sealedIdentity)
  } catch (cause) {
    throw new WrongKeyFile(
      `The key file ${keyFile} does not open the key of vault "${oldest.name}": put back the one that Holdfast was first started with, or name it in HOLDFAST_KEY_FILE.`,
      { cause },
    )
  }
}
