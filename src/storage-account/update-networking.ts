import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { storageAccounts } from '../database/tables/storage-account.ts'
import { checkComment, NotFound } from '../refusal.ts'
import { findVaults } from '../vault/find.ts'
import { findResourceInstances } from './find.ts'
import type { NetworkRules } from './network-rules.ts'
import { listVaults, namesOf } from './resource-instances.ts'
import type { StorageAccount } from './storage-account.ts'

export interface UpdateStorageAccountNetworking {
  storageAccountId: string
  /** What is left out stays as it is. */
  changes: Partial<NetworkRules>
  reason: string | null
  /** All is done and answered, and nothing is changed. */
  dryRun: boolean
  actor: string
  now: Date
}

/** One rule that was changed, or would be; vaults by their names. */
export interface NetworkRuleChange {
  field: 'publicNetworkAccess' | 'allowTrustedServices' | 'resourceInstances'
  before: string
  after: string
}

/** The rules of an account after a change, or as a dry run would make them. */
export interface UpdatedNetworking {
  account: StorageAccount
  resourceInstanceIds: string[]
  changes: NetworkRuleChange[]
}

/**
 * Changes which vaults may write into a storage account. Restores that run meet the new rules at their next attempt, those
 * that wait when they start.
 */
export async function updateStorageAccountNetworking(
  database: Database,
  { storageAccountId, changes, reason, dryRun, actor, now }: UpdateStorageAccountNetworking,
): Promise<UpdatedNetworking> {
  checkComment('reason', reason)
  const { publicNetworkAccess, allowTrustedServices, resourceInstanceIds } = changes
  return carryOut(database, { dryRun }, async (tx) => {
    const [before] = await tx
      .select()
      .from(storageAccounts)
      .where(eq(storageAccounts.id, storageAccountId))
      .for('no key update')
    if (!before) throw new NotFound('storage account')
    const listedBefore = await listedVaults(tx, storageAccountId)
    const listed = resourceInstanceIds
      ? await listVaults(tx, storageAccountId, resourceInstanceIds)
      : listedBefore.names
    const account = { ...before, ...(publicNetworkAccess && { publicNetworkAccess }) }
    if (allowTrustedServices !== undefined) account.allowTrustedServices = allowTrustedServices
    await tx
      .update(storageAccounts)
      .set({ publicNetworkAccess: account.publicNetworkAccess, allowTrustedServices: account.allowTrustedServices })
      .where(eq(storageAccounts.id, storageAccountId))
    const changed = differences(factsOf(before, listedBefore.names), factsOf(account, listed))
    if (changed.length > 0) {
      await recordAudit(tx, {
        actor,
        action: 'updateStorageAccountNetworking',
        subject: { kind: 'StorageAccount', id: account.id, name: account.name },
        reason,
        before: factsOf(before, listedBefore.names),
        after: factsOf(account, listed),
        now,
      })
    }
    return { account, resourceInstanceIds: (await listedVaults(tx, storageAccountId)).ids, changes: changed }
  })
}

type RuleFacts = Record<NetworkRuleChange['field'], string | boolean>

function factsOf({ publicNetworkAccess, allowTrustedServices }: StorageAccount, resourceInstances: string): RuleFacts {
  return { publicNetworkAccess, allowTrustedServices, resourceInstances }
}

function differences(before: RuleFacts, after: RuleFacts): NetworkRuleChange[] {
  const fields = ['publicNetworkAccess', 'allowTrustedServices', 'resourceInstances'] as const
  return fields
    .filter((field) => before[field] !== after[field])
    .map((field) => ({ field, before: String(before[field]), after: String(after[field]) }))
}

async function listedVaults(tx: Database, storageAccountId: string): Promise<{ ids: string[]; names: string }> {
  const ids = (await findResourceInstances(tx, [storageAccountId])).get(storageAccountId) ?? []
  return { ids, names: namesOf(await findVaults(tx, ids)) }
}
