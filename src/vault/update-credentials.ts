import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { vaults } from '../database/tables/vault.ts'
import { InvalidInput, NotFound } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import { withAccessKey } from './location.ts'
import type { Vault } from './vault.ts'

export interface UpdateVaultCredentials {
  vaultId: string
  accessKeyId: string
  secretAccessKey: string
  secrets: Pick<SecretBox, 'seal'>
  actor: string
  now: Date
}

/** Replaces the access key of a vault in a bucket; jobs that start from now on use it. The bucket stays the same. */
export async function updateVaultCredentials(
  database: Database,
  { vaultId, accessKeyId, secretAccessKey, secrets, actor, now }: UpdateVaultCredentials,
): Promise<Vault> {
  return database.transaction(async (tx) => {
    const [before] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('no key update')
    if (!before) throw new NotFound('vault')
    const { location } = before
    if (location.kind !== 'S3') {
      throw new InvalidInput(
        'vault',
        `Vault "${before.name}" keeps its bytes in a directory, which takes no access key.`,
        ['Give the user that runs the worker rights on the directory instead.'],
      )
    }
    const changed = withAccessKey(location, { accessKeyId, secretAccessKey }, { secrets, now })
    const [updated] = await tx.update(vaults).set({ location: changed }).where(eq(vaults.id, vaultId)).returning()
    if (!updated) throw new NotFound('vault')
    await recordAudit(tx, {
      actor,
      action: 'updateVaultCredentials',
      subject: { kind: 'Vault', id: updated.id, name: updated.name },
      before: { accessKeyId: location.accessKeyId, secretSetAt: location.secretSetAt },
      after: { accessKeyId, secretSetAt: changed.secretSetAt },
      now,
    })
    return updated
  })
}
