import { and, eq, gte, lte, ne, or, type SQL, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut } from '../database/rehearse.ts'
import { vaults } from '../database/tables/vault.ts'
import { ConfirmationMismatch, checkComment, InvalidInput, NotFound } from '../refusal.ts'
import { brokenRule, checkSecurity, VaultLocked, type VaultSecurity } from './security.ts'
import type { Vault } from './vault.ts'

export interface UpdateVaultSecurity {
  vaultId: string
  /** What is left out stays as it is. */
  changes: Partial<VaultSecurity>
  /** The vault's name, typed by whoever locks it; null when nobody typed one. */
  confirmName: string | null
  reason: string | null
  /** All is done and answered, and nothing is changed. */
  dryRun: boolean
  actor: string
  now: Date
}

/** One rule that was changed, or would be. */
export interface SecurityChange {
  field: keyof VaultSecurity
  before: string | number
  after: string | number
}

/**
 * Changes the rules of a vault. Backup instances that are soft deleted already keep the date of their purge.
 * Throws VaultLocked when that would weaken a locked vault, InvalidInput when the rules contradict each other, and
 * ConfirmationMismatch when a vault is locked without its name.
 */
export async function updateVaultSecurity(
  database: Database,
  { vaultId, changes, confirmName, reason, dryRun, actor, now }: UpdateVaultSecurity,
): Promise<{ vault: Vault; changes: SecurityChange[] }> {
  checkSecurity(changes)
  checkComment('reason', reason)
  return carryOut(database, { dryRun }, async (tx) => {
    // Its backup instances and points go on being added meanwhile: the key of the row stays as it is.
    const [before] = await tx.select().from(vaults).where(eq(vaults.id, vaultId)).for('no key update')
    if (!before) throw new NotFound('vault')
    const wanted = { ...securityOf(before), ...changes }
    checkSecurity(wanted)
    checkLocking(before, wanted, confirmName)
    const [vault] = await tx
      .update(vaults)
      // A shorter period may make points due at once.
      .set({ ...wanted, ...(wanted.scrubDays !== before.scrubDays && { scrubDueAt: now }) })
      .where(and(eq(vaults.id, vaultId), weakensNoLock(wanted)))
      .returning()
    if (!vault) throw new VaultLocked(before, brokenRule(before, wanted) ?? 'IMMUTABILITY_STAYS_LOCKED')
    const changed = differences(before, vault)
    if (changed.length > 0) {
      await recordAudit(tx, {
        actor,
        action: 'updateVaultSecurity',
        subject: { kind: 'Vault', id: vault.id, name: vault.name },
        reason,
        before: Object.fromEntries(changed.map((change) => [change.field, change.before])),
        after: Object.fromEntries(changed.map((change) => [change.field, change.after])),
        now,
      })
    }
    return { vault, changes: changed }
  })
}

function securityOf({ softDeleteDays, immutability, expiryShareLimitPercent, scrubDays }: Vault): VaultSecurity {
  return { softDeleteDays, immutability, expiryShareLimitPercent, scrubDays }
}

/** Whether the row may get these rules: the same as brokenRule, where the row is changed. */
function weakensNoLock(wanted: VaultSecurity): SQL | undefined {
  return or(
    ne(vaults.immutability, 'LOCKED'),
    and(
      sql`${wanted.immutability} = 'LOCKED'`,
      lte(vaults.softDeleteDays, wanted.softDeleteDays),
      gte(vaults.expiryShareLimitPercent, wanted.expiryShareLimitPercent),
      or(eq(vaults.scrubDays, 0), and(sql`${wanted.scrubDays} > 0`, gte(vaults.scrubDays, wanted.scrubDays))),
    ),
  )
}

function checkLocking(before: Vault, wanted: VaultSecurity, confirmName: string | null): void {
  if (before.immutability === 'LOCKED' || wanted.immutability !== 'LOCKED') return
  if (before.immutability === 'DISABLED') {
    throw new InvalidInput('immutability', `Vault "${before.name}" can be LOCKED only when it is UNLOCKED.`, [
      'Set immutability to UNLOCKED first, see that all works under it, and lock the vault then.',
    ])
  }
  if (confirmName !== before.name) throw new ConfirmationMismatch('vault', before.name)
}

function differences(before: Vault, after: Vault): SecurityChange[] {
  const fields = ['softDeleteDays', 'immutability', 'expiryShareLimitPercent', 'scrubDays'] as const
  return fields
    .filter((field) => before[field] !== after[field])
    .map((field) => ({ field, before: before[field], after: after[field] }))
}
