import { randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { storageAccounts, storageContainers } from '../database/tables/storage-account.ts'
import { InvalidInput, NameTaken, NotFound } from '../refusal.ts'
import type { StorageContainer } from './storage-account.ts'

export interface CreateStorageContainer {
  storageAccountId: string
  name: string
  actor: string
  now: Date
}

/** Adds a container to a storage account: a folder of its name, which the first restore into it makes. */
export async function createStorageContainer(
  database: Database,
  { storageAccountId, name, actor, now }: CreateStorageContainer,
): Promise<StorageContainer> {
  checkContainerName(name)
  return database.transaction(async (tx) => {
    const [account] = await tx
      .select()
      .from(storageAccounts)
      .where(eq(storageAccounts.id, storageAccountId))
      .for('share')
    if (!account) throw new NotFound('storage account')
    const [created] = await tx
      .insert(storageContainers)
      .values({ id: randomUUID(), storageAccountId, name, createdAt: now })
      .onConflictDoNothing()
      .returning()
    if (!created) throw new NameTaken('container of that storage account', name)
    await recordAudit(tx, {
      actor,
      action: 'createStorageContainer',
      subject: { kind: 'StorageContainer', id: created.id, name },
      after: { name },
      detail: { storageAccount: account.name },
      now,
    })
    return created
  })
}

/** The name is a folder in a directory or bucket: what every store takes, and nothing that could lead out of it. */
function checkContainerName(name: string): void {
  if (/^[a-z0-9](-?[a-z0-9]){2,62}$/.test(name) && name.length <= 63) return
  throw new InvalidInput('name', `"${name.slice(0, 100).toWellFormed()}" cannot be the name of a container.`, [
    'Give 3 to 63 lower-case letters, digits and single hyphens between them, such as restored-orders.',
  ])
}
