import { randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { vaults } from '../database/tables/vault.ts'
import { checkName, InvalidInput, NameTaken } from '../refusal.ts'
import { generateIdentity } from '../secret/age-identity.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { checkLocation, factsOf, keyOf, lockPlaces, type NewLocation, requireFreePlace } from './location.ts'
import { checkSecurity } from './security.ts'
import type { Vault } from './vault.ts'

export interface CreateVault {
  name: string
  location: NewLocation
  /** How long deleted backup instances can be had back; 14 days when left out, 0 for not at all. */
  softDeleteDays?: number | undefined
  /** DISABLED when left out; a vault is locked later, when all is seen to work. */
  immutability?: Vault['immutability'] | undefined
  secrets: SecretBox
  actor: string
  now: Date
}

/**
 * Adds a vault with a key pair of its own: recovery points are sealed for it, and the secret half is kept sealed.
 * The place is touched only when protection is first configured with the vault: then a directory is made, and it is marked.
 */
export async function createVault(
  database: Database,
  { name, location: wanted, softDeleteDays = 14, immutability = 'DISABLED', secrets, actor, now }: CreateVault,
): Promise<Vault> {
  checkName('name', name)
  checkSecurity({ softDeleteDays, immutability })
  if (immutability === 'LOCKED') {
    throw new InvalidInput('immutability', 'A vault cannot be created LOCKED.', [
      'Create it UNLOCKED, see that all works under it, and lock it by updateVaultSecurity.',
    ])
  }
  const location = checkLocation(wanted, { secrets, now })
  const { identity, recipient } = generateIdentity()
  return database.transaction(async (tx) => {
    await lockPlaces(tx)
    const [namesake] = await tx.select().from(vaults).where(eq(vaults.name, name))
    if (namesake) throw new NameTaken('vault', name)
    await requireFreePlace(tx, location)
    const [created] = await tx
      .insert(vaults)
      .values({
        id: randomUUID(),
        name,
        kind: location.kind,
        location,
        locationKey: keyOf(location),
        recipient,
        sealedIdentity: secrets.seal(identity),
        softDeleteDays,
        immutability,
        createdAt: now,
      })
      .returning()
    if (!created) throw new Error('A vault that was inserted did not come back.')
    await recordAudit(tx, {
      actor,
      action: 'createVault',
      subject: { kind: 'Vault', id: created.id, name },
      after: { softDeleteDays, immutability },
      detail: factsOf(location),
      now,
    })
    return created
  })
}
