import { and, asc, eq, gt, isNull, lte, or } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recoveryPoints } from '../../database/tables/recovery-point.ts'
import { vaults } from '../../database/tables/vault.ts'
import type { Vault } from '../../vault/vault.ts'
import { dayMs } from './candidate.ts'
import { decideScrub } from './decide-scrub.ts'
import { findPauses, findPendingVerifications, lockLongestUnread } from './find-candidates.ts'
import { mostPending, startVerifications } from './start-verifications.ts'

/** What is due later than this was planned by a clock that was ahead, ms. */
const tooFarMs = 2 * dayMs

/**
 * Has points of one vault read again whose bytes were read too long ago, in one short transaction; answers how many, or
 * undefined when no vault is to be looked at. Any number of schedulers may do this at once: what one of them has
 * begun is not due any more for the others.
 */
export async function startDueScrub(database: Database, { now }: { now: Date }): Promise<number | undefined> {
  return database.transaction(async (tx) => {
    const vault = await lockDue(tx, now)
    if (!vault) return undefined
    const pending = await findPendingVerifications(tx)
    const room = mostPending - (pending.get(vault.id)?.scrubs ?? 0)
    const isOn = vault.scrubDays > 0
    const found = isOn ? await lockLongestUnread(tx, { vaultId: vault.id, now, atMost: mostPending * 2 }) : []
    const { starts, lookAgainAt } = decideScrub({
      now,
      scrubDays: vault.scrubDays,
      pointCount: isOn ? await countPoints(tx, vault.id) : 0,
      oldest: found.map(({ point }) => point),
      room,
      pauses: found.length === 0 ? {} : ((await findPauses(tx, [vault.id])).get(vault.id) ?? {}),
    })
    const chosen = starts.flatMap(({ pointId, level }) => {
      const each = found.find(({ point }) => point.id === pointId)
      return each ? [{ ...each, level }] : []
    })
    const started = await startVerifications(tx, { starts: chosen, now })
    await tx.update(vaults).set({ scrubDueAt: lookAgainAt }).where(eq(vaults.id, vault.id))
    return started
  })
}

async function lockDue(tx: Database, now: Date): Promise<Vault | undefined> {
  const { scrubDueAt } = vaults
  const [vault] = await tx
    .select()
    .from(vaults)
    .where(or(isNull(scrubDueAt), lte(scrubDueAt, now), gt(scrubDueAt, new Date(now.getTime() + tooFarMs))))
    .orderBy(asc(scrubDueAt))
    .limit(1)
    // Waited for, not passed over: other chores of the same round have it at hand again and again.
    .for('no key update')
  return vault
}

async function countPoints(tx: Database, vaultId: string): Promise<number> {
  return tx.$count(recoveryPoints, and(eq(recoveryPoints.vaultId, vaultId), isNull(recoveryPoints.markedAt)))
}
