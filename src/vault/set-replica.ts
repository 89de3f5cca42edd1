import { eq, inArray } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { carryOut, StartOver } from '../database/rehearse.ts'
import { vaults } from '../database/tables/vault.ts'
import { checkDuration, type RetentionLimits } from '../policy/check-duration.ts'
import { isShorter } from '../policy/shortening.ts'
import { findMissingCopies } from '../recovery-point/missing-copies.ts'
import { InvalidInput, NotFound, Refusal } from '../refusal.ts'
import { findReplicatedVaults } from './find-replicated.ts'
import { ForbiddenByImmutability, isImmutable, type Vault } from './vault.ts'

/** A vault that gets second copies has none made of what it keeps: the vault that should names or is a replica already. */
export class ReplicaChain extends Refusal {
  readonly vaultId: string

  constructor(message: string, middle: Vault) {
    super(message, ['Choose another vault for the copies, or make one for them alone.'])
    this.vaultId = middle.id
  }
}

export interface SetVaultReplica {
  vaultId: string
  /** The vault that gets second copies; null: none is made from now on. Stays as it is when left out. */
  replicaId?: string | null | undefined
  /** How long those are kept from when their point was made, ISO 8601; null: as long as the point. As above. */
  retention?: string | null | undefined
  limits: RetentionLimits
  /** All is checked and answered, and nothing is changed. */
  dryRun: boolean
  actor: string
  now: Date
}

export interface ReplicaSet {
  vault: Vault
  /** The recovery points that are there and get a copy now. */
  missing: { count: number; storedBytes: number }
}

/**
 * Names the vault that gets a second copy of every recovery point of a vault, with the rule by which the copies end; those
 * points that are there are copied by and by, and copies that are there stay as they are. Refused for a vault itself, for
 * chains, and where an immutable vault would be protected less than before.
 */
export async function setVaultReplica(
  database: Database,
  { vaultId, limits, dryRun, actor, now, ...asked }: SetVaultReplica,
): Promise<ReplicaSet> {
  return carryOut(database, { dryRun }, async (tx) => {
    const { before, replica, former } = await lockAll(tx, { vaultId, replicaId: asked.replicaId })
    const retention = checkRule(asked.retention, { before, replica, limits, now })
    await refuseChain(tx, before, replica)
    refuseWeaker({ before, former }, { replica, retention })
    const replicaId = replica?.id ?? null
    const [vault] = await tx
      .update(vaults)
      .set({ replicaId, replicaRetention: retention })
      .where(eq(vaults.id, vaultId))
      .returning()
    if (!vault) throw new NotFound('vault')
    if (before.replicaId !== replicaId || before.replicaRetention !== retention) {
      await recordAudit(tx, {
        actor,
        action: 'setVaultReplica',
        subject: { kind: 'Vault', id: vault.id, name: vault.name },
        before: { replica: former?.name ?? null, retention: before.replicaRetention },
        after: { replica: replica?.name ?? null, retention },
        now,
      })
    }
    const { count = 0, storedBytes = 0 } = (await findMissingCopies(tx, [vaultId], now)).get(vaultId) ?? {}
    return { vault, missing: { count, storedBytes } }
  })
}

/** The rule by which copies end: as it is asked for, or else as it is. */
function checkRule(
  asked: string | null | undefined,
  { before, replica, ...at }: { before: Vault; replica: Vault | null; limits: RetentionLimits; now: Date },
): string | null {
  if (asked == null) return replica === null || asked === null ? null : before.replicaRetention
  if (replica === null) {
    throw new InvalidInput('retention', 'Without a replica there are no copies that could be kept.', [
      'Name a replica, or leave the retention out.',
    ])
  }
  checkDuration('retention', asked, at)
  return asked
}

/** Every vault that is concerned, locked in the order of their ids: two that name each other at once come one after the other. */
async function lockAll(
  tx: Database,
  { vaultId, replicaId }: Pick<SetVaultReplica, 'vaultId' | 'replicaId'>,
): Promise<{ before: Vault; replica: Vault | null; former: Vault | null }> {
  const [seen] = await tx.select({ former: vaults.replicaId }).from(vaults).where(eq(vaults.id, vaultId))
  const ids = [vaultId, replicaId ?? null, seen?.former ?? null].filter((id) => id !== null)
  const locked = await tx.select().from(vaults).where(inArray(vaults.id, ids)).orderBy(vaults.id).for('no key update')
  const found = new Map(locked.map((vault) => [vault.id, vault]))
  const before = found.get(vaultId)
  if (!before) throw new NotFound('vault')
  // Its present replica is not among those that are locked, and nothing would be known of that one's rules.
  if (before.replicaId !== (seen?.former ?? null)) throw new StartOver('Another replica was named meanwhile.')
  const former = found.get(before.replicaId ?? '') ?? null
  if (replicaId == null) return { before, former, replica: replicaId === null ? null : former }
  const replica = found.get(replicaId)
  if (!replica) throw new NotFound('vault')
  return { before, former, replica }
}

async function refuseChain(tx: Database, vault: Vault, replica: Vault | null): Promise<void> {
  if (!replica) return
  if (replica.id === vault.id) {
    throw new InvalidInput('replicaVault', `Vault "${vault.name}" cannot be its own replica.`, [
      'Name another vault, best one in another place.',
    ])
  }
  if (replica.replicaId !== null) {
    throw new ReplicaChain(`Vault "${replica.name}" names a replica itself, so that it cannot be one.`, replica)
  }
  const [first] = (await findReplicatedVaults(tx, [vault.id])).get(vault.id) ?? []
  if (first) {
    throw new ReplicaChain(
      `Vault "${vault.name}" is the replica of "${first.name}", so that it has none itself.`,
      vault,
    )
  }
}

/** What immutability forbids: that points get no copy any more, one that is kept for less time, or one that is less protected. */
function refuseWeaker(
  { before, former }: { before: Vault; former: Vault | null },
  { replica, retention }: { replica: Vault | null; retention: string | null },
): void {
  const immutable = [before, former].find((vault) => vault !== null && isImmutable(vault))
  if (!former || !immutable) return
  const forbid = (rule: string) => new ForbiddenByImmutability(immutable, 'setVaultReplica', rule)
  if (!replica) throw forbid('Recovery points would get no second copy any more.')
  if (isImmutable(former) && !isImmutable(replica)) {
    throw forbid(`Copies would go into vault "${replica.name}", which is not immutable as "${former.name}" is.`)
  }
  if (mayBeShorter(before.replicaRetention, retention)) {
    throw forbid(`Copies would be kept ${kept(retention)} instead of ${kept(before.replicaRetention)}.`)
  }
}

/** Whether copies may be kept for less time by another rule: points have ends of many kinds, so that only equals are certain. */
function mayBeShorter(before: string | null, after: string | null): boolean {
  if (before === null || after === null) return before !== after
  return isShorter(after, before)
}

function kept(retention: string | null): string {
  return retention ?? 'as long as their point'
}
