import { eq, sql } from 'drizzle-orm'
import fc from 'fast-check'
import { describe, expect } from 'vitest'
import { pageAuditRecords } from '../src/audit/find.ts'
import type { Database } from '../src/database/connect.ts'
import { backupInstances } from '../src/database/tables/backup-instance.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { vaults } from '../src/database/tables/vault.ts'
import type { BackupInstance } from '../src/instance/instance.ts'
import { endOfCopy } from '../src/recovery-point/copy/copy.ts'
import { startMissingCopies } from '../src/recovery-point/copy/start-missing-copies.ts'
import { findMissingCopies } from '../src/recovery-point/missing-copies.ts'
import { InvalidInput } from '../src/refusal.ts'
import { deleteVault, VaultIsReplica, VaultNotEmpty } from '../src/vault/delete.ts'
import { findVaults } from '../src/vault/find.ts'
import { ReplicaChain } from '../src/vault/set-replica.ts'
import { ForbiddenByImmutability, type Vault } from '../src/vault/vault.ts'
import { addLife, addPoints, asked, dumpOf, now, refusalOf } from './kit/lifecycle.ts'
import { copyJobsOf, nameReplica } from './kit/replica.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

interface Vaults {
  instance: BackupInstance
  vault: Vault
  other: Vault
  third: Vault
}

/** A vault with seven points of an instance, and two more vaults, of other instances without points. */
async function addVaults(database: Database): Promise<Vaults> {
  const instance = await addLife(database)
  const others = [await addLife(database, { points: [] }), await addLife(database, { points: [] })]
  const found = await findVaults(
    database,
    [instance, ...others].map(({ vaultId }) => vaultId),
  )
  const vaultOf = ({ vaultId }: BackupInstance): Vault => {
    const vault = found.find(({ id }) => id === vaultId)
    if (!vault) throw new Error('There is no such vault.')
    return vault
  }
  const [other, third] = others.map(vaultOf)
  if (!other || !third) throw new Error('There are no other vaults.')
  return { instance, vault: vaultOf(instance), other, third }
}

async function setImmutability(database: Database, { id }: Vault, immutability: Vault['immutability']) {
  await database.update(vaults).set({ immutability }).where(eq(vaults.id, id))
}

describe('naming a replica', () => {
  test('is audited, can be rehearsed, and what is left out stays', async ({ database }) => {
    const { vault, other } = await addVaults(database)
    const before = await dumpOf(database)
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, retention: 'P90D', dryRun: true, now })
    expect(await dumpOf(database)).toEqual(before)
    const rule = { replicaId: other.id, replicaRetention: 'P90D' }
    const steps = [
      [{ replicaId: other.id, retention: 'P90D' }, rule],
      [{ replicaId: other.id }, rule],
      [{ retention: null }, { ...rule, replicaRetention: null }],
      [{ replicaId: null }, { replicaId: null, replicaRetention: null }],
    ] as const
    for (const [index, [change, then]] of steps.entries()) {
      const at = new Date(now.getTime() + index)
      expect(await nameReplica(database, { vaultId: vault.id, now: at, ...change })).toMatchObject(then)
    }
    const { rows } = await pageAuditRecords(database, { page: { first: 10 } })
    expect(rows.filter(({ action }) => action === 'setVaultReplica').map(({ after }) => after)).toEqual([
      { replica: null },
      { retention: null },
      { replica: other.name, retention: 'P90D' },
    ])
  })

  test('is refused for itself, for chains, for no vault and for durations out of range', async ({ database }) => {
    const { vault, other, third } = await addVaults(database)
    const refused = (rule: Parameters<typeof nameReplica>[1]) => refusalOf(nameReplica(database, { now, ...rule }))
    expect(await refused({ vaultId: vault.id, replicaId: vault.id })).toBeInstanceOf(InvalidInput)
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, now })
    expect(await refused({ vaultId: other.id, replicaId: vault.id })).toBeInstanceOf(ReplicaChain)
    expect(await refused({ vaultId: other.id, replicaId: third.id })).toMatchObject({ vaultId: other.id })
    expect(await refused({ vaultId: third.id, replicaId: vault.id })).toMatchObject({ vaultId: vault.id })
    expect(await refused({ vaultId: vault.id, replicaId: crypto.randomUUID() })).toMatchObject({ name: 'NotFound' })
    for (const retention of ['P1D', 'P99Y', 'soon']) {
      expect(await refused({ vaultId: vault.id, retention })).toMatchObject({
        name: 'InvalidInput',
        field: 'retention',
      })
    }
    expect(await refused({ vaultId: third.id, retention: 'P90D' })).toMatchObject({ field: 'retention' })
    // Two vaults may share one.
    expect(await nameReplica(database, { vaultId: third.id, replicaId: other.id, now })).toMatchObject({
      replicaId: other.id,
    })
  })

  test('of two vaults each other’s at once lets one through', async ({ database }) => {
    const { vault, other } = await addVaults(database)
    const ends = await Promise.allSettled([
      nameReplica(database, { vaultId: vault.id, replicaId: other.id, now }),
      nameReplica(database, { vaultId: other.id, replicaId: vault.id, now }),
    ])
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []))).toEqual([expect.any(ReplicaChain)])
  })

  test('of an immutable vault is never made weaker', async ({ database }) => {
    const { vault, other, third } = await addVaults(database)
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, retention: 'P90D', now })
    await setImmutability(database, vault, 'LOCKED')
    await setImmutability(database, other, 'UNLOCKED')
    for (const weaker of [{ replicaId: null }, { retention: 'P30D' }, { retention: null }, { replicaId: third.id }]) {
      const refusal = await refusalOf(nameReplica(database, { vaultId: vault.id, now, ...weaker }))
      expect(refusal).toBeInstanceOf(ForbiddenByImmutability)
    }
    await setImmutability(database, third, 'UNLOCKED')
    const moved = await nameReplica(database, { vaultId: vault.id, replicaId: third.id, retention: 'P1Y', now })
    expect(moved).toMatchObject({ replicaId: third.id, replicaRetention: 'P1Y' })
  })

  test.for([
    { change: { replicaId: null }, ends: 'ForbiddenByImmutability' },
    { change: {}, ends: 'done' },
  ] as const)('while another call moves it goes by what that left: $change', async ({ change, ends }, { database }) => {
    const { vault, other, third } = await addVaults(database)
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, now })
    await setImmutability(database, vault, 'LOCKED')
    const changing = await database.transaction(async (tx) => {
      await tx.update(vaults).set({ replicaId: third.id }).where(eq(vaults.id, vault.id))
      const call = nameReplica(database, { vaultId: vault.id, now, ...change })
      await waitFor('a session that waits for the vault', async () => {
        const waiting = sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
        return (await database.execute(waiting)).length > 0
      })
      return [
        call.then(
          () => 'done',
          ({ name }: Error) => name,
        ),
      ]
    })
    expect(await Promise.all(changing)).toEqual([ends])
    expect(await findVaults(database, [vault.id])).toMatchObject([{ replicaId: third.id }])
  })
})

describe('a vault that is a replica', () => {
  test('is not deleted while it is named, nor while it holds copies', async ({ database }) => {
    const { instance, vault, other, third } = await addVaults(database)
    await database.delete(backupInstances).where(eq(backupInstances.vaultId, other.id))
    await database.delete(backupInstances).where(eq(backupInstances.vaultId, third.id))
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, now })
    const deletion = { vaultId: other.id, confirmName: other.name, ...asked }
    expect(await refusalOf(deleteVault(database, deletion))).toBeInstanceOf(VaultIsReplica)
    await nameReplica(database, { vaultId: vault.id, replicaId: null, now })
    const copy = { vaultId: other.id, copyOfId: crypto.randomUUID(), copiedAt: now }
    await addPoints(database, instance, [{ madeDaysAgo: 1, endsInDays: 10, ...copy }])
    expect(await refusalOf(deleteVault(database, deletion))).toBeInstanceOf(VaultNotEmpty)
    await database.delete(recoveryPoints).where(eq(recoveryPoints.vaultId, other.id))
    expect(await deleteVault(database, deletion)).toMatchObject({ id: other.id })
  })
})

describe('the points that get a copy', () => {
  test('are the available ones within their time and the newest, oldest first, a few at a time', async ({
    database,
  }) => {
    const { instance, vault, other } = await addVaults(database)
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, now })
    const points = await database.select().from(recoveryPoints).orderBy(recoveryPoints.createdAt)
    const [, , , ...within] = points
    const [first] = within
    await database
      .update(recoveryPoints)
      .set({ state: 'SUSPECT' })
      .where(eq(recoveryPoints.id, first?.id ?? ''))
    expect(await startMissingCopies(database, { now, atMost: 2 })).toBe(2)
    expect(await startMissingCopies(database, { now, atMost: 2 })).toBe(0)
    expect(await startMissingCopies(database, { now, atMost: 10 })).toBe(1)
    const copying = []
    for (const { id } of points) copying.push(...(await copyJobsOf(database, id)).map((job) => job.recoveryPointId))
    expect(copying).toEqual(within.slice(1).map(({ id }) => id))
    const [job] = await copyJobsOf(database, within[1]?.id ?? '')
    expect(job).toMatchObject({
      instanceId: instance.id,
      vaultId: other.id,
      lanes: [`copy:${other.id}`, `vault:${other.id}`, `vault:${vault.id}`],
    })
  })

  test('are all of them where protection is stopped for ever, and none of a deleted instance', async ({ database }) => {
    const { instance, vault, other } = await addVaults(database)
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, retention: 'P7D', now })
    const move = (state: BackupInstance['state']) =>
      database.update(backupInstances).set({ state }).where(eq(backupInstances.id, instance.id))
    await move('SOFT_DELETED')
    expect(await startMissingCopies(database, { now, atMost: 10 })).toBe(0)
    await move('PROTECTION_CONFIGURED')
    // By a rule of a week only the newest is left, which was made eight days ago.
    expect(await startMissingCopies(database, { now, atMost: 10 })).toBe(1)
    await move('PROTECTION_STOPPED')
    expect(await startMissingCopies(database, { now, atMost: 10 })).toBe(6)
  })

  test('lack it for as long as the copy would live, to the millisecond', async ({ database }) => {
    const { instance, vault, other } = await addVaults(database)
    await nameReplica(database, { vaultId: vault.id, replicaId: other.id, now })
    const durations = fc
      .tuple(fc.nat(3), fc.nat(14), fc.nat(60))
      .map(([years, months, days]) => `P${years}Y${months}M${days + 7}D`)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 800 }), durations, async (madeDaysAgo, duration) => {
        await database.delete(recoveryPoints)
        await database.update(vaults).set({ replicaRetention: duration }).where(eq(vaults.id, vault.id))
        const [older] = await addPoints(database, instance, [
          { madeDaysAgo, endsInDays: 1 },
          { madeDaysAgo: 1, endsInDays: 1 },
        ])
        const end = endOfCopy(older ?? { createdAt: now, expiresAt: now }, duration)
        const countAt = async (at: Date) => (await findMissingCopies(database, [vault.id], at)).get(vault.id)?.count
        expect(await countAt(new Date(end.getTime() - 1))).toBe(2)
        // The newest is never without one.
        expect(await countAt(end)).toBe(1)
      }),
      { numRuns: 40 },
    )
  })
})
