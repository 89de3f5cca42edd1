import { randomUUID } from 'node:crypto'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { type VaultLocation, vaults } from '../database/tables/vault.ts'
import { checkName, NameTaken, Refusal } from '../refusal.ts'
import { generateIdentity } from '../secret/age-identity.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { checkDirectory, type Vault } from './vault.ts'

/** Another vault keeps its recovery points in that place already. */
export class LocationTaken extends Refusal {
  readonly vaultId: string

  constructor(path: string, vaultId: string) {
    super(`Another vault keeps its recovery points in ${path}.`, ['Use that vault, or choose another directory.'])
    this.vaultId = vaultId
  }
}

export interface CreateVault {
  name: string
  location: VaultLocation
  secrets: SecretBox
  actor: string
  now: Date
}

/**
 * Adds a vault with a key pair of its own: recovery points are sealed for it, and the secret half is kept sealed.
 * The directory itself is made and marked when protection is first configured with the vault.
 */
export async function createVault(
  database: Database,
  { name, location, secrets, actor, now }: CreateVault,
): Promise<Vault> {
  checkName('name', name)
  const path = checkDirectory('directory', location.path)
  const { identity, recipient } = generateIdentity()
  return database.transaction(async (tx) => {
    const [created] = await tx
      .insert(vaults)
      .values({
        id: randomUUID(),
        name,
        kind: location.kind,
        location: { ...location, path },
        locationKey: `directory:${path}`,
        recipient,
        sealedIdentity: secrets.seal(identity),
        createdAt: now,
      })
      .onConflictDoNothing()
      .returning()
    if (!created) throw await whyTaken(tx, name, path)
    await recordAudit(tx, {
      actor,
      action: 'createVault',
      subject: { kind: 'Vault', id: created.id, name },
      detail: { directory: path },
      now,
    })
    return created
  })
}

async function whyTaken(tx: Database, name: string, path: string): Promise<Refusal> {
  const existing = await tx.select({ id: vaults.id, name: vaults.name, key: vaults.locationKey }).from(vaults)
  const sameName = existing.find((vault) => vault.name === name)
  if (sameName) return new NameTaken('vault', name)
  const samePlace = existing.find((vault) => vault.key === `directory:${path}`)
  return new LocationTaken(path, samePlace?.id ?? '')
}
