import { and, asc, eq, gt, inArray, isNull, lte, notInArray, or, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recordset } from '../../database/recordset.ts'
import { backupInstances } from '../../database/tables/backup-instance.ts'
import { policyVersions } from '../../database/tables/policy.ts'
import type { BackupInstance } from '../../instance/instance.ts'
import { startsFrom } from '../../instance/states.ts'
import type { ProofRules } from '../../policy/policy.ts'
import { dayMs, hourMs } from './candidate.ts'
import { decideVerification } from './decide-verification.ts'
import {
  findInstancePoints,
  findPauses,
  findPendingVerifications,
  type InstancePoints,
  type PendingVerifications,
} from './find-candidates.ts'
import { mostPending, startVerifications, type VerificationStart } from './start-verifications.ts'

export interface StartDueVerifications {
  /** The moment that decides what is due: by the clock that all schedulers share. */
  now: Date
  /** How many instances to look at. */
  atMost: number
}

/** How many instances were looked at, and how many verifications were begun. */
export interface LookedAtInstances {
  looked: number
  started: number
}

/** The first looks at instances that nobody has looked at yet are spread over so long, ms. */
const firstSpreadMs = 6 * hourMs
/** What is due later than this was planned by a clock that was ahead, ms. */
const tooFarMs = 2 * dayMs

interface DueInstance {
  instance: BackupInstance
  rules: ProofRules['verification']
}

/**
 * Begins the verifications that policies ask for, of the instances whose turn it is to be looked at, in one short
 * transaction. Any number of schedulers may do this at once: an instance that another one has at hand is passed over, and
 * so are those of vaults in which enough verifications wait already.
 */
export async function startDueVerifications(
  database: Database,
  { now, atMost }: StartDueVerifications,
): Promise<LookedAtInstances> {
  return database.transaction(async (tx) => {
    await planFirstLooks(tx, { now, atMost })
    const pending = await findPendingVerifications(tx)
    const due = await lockDue(tx, { now, atMost, pending })
    if (due.length === 0) return { looked: 0, started: 0 }
    const ids = due.map(({ instance }) => instance.id)
    const vaultIds = [...new Set(due.map(({ instance }) => instance.vaultId))]
    const points = await findInstancePoints(tx, { instanceIds: ids, now })
    const pauses = await findPauses(tx, vaultIds)
    const room = new Map(vaultIds.map((id) => [id, mostPending - (pending.get(id)?.others ?? 0)]))
    const starts: VerificationStart[] = []
    const looks: { id: string; verification_due_at: Date }[] = []
    for (const { instance, rules } of due) {
      const facts = points.get(instance.id) ?? noPoints
      const { start, lookAgainAt } = decideVerification({
        now,
        rules,
        ...facts,
        pauses: pauses.get(instance.vaultId) ?? {},
      })
      const left = room.get(instance.vaultId) ?? 0
      // It stays due, before all that become due later.
      if (start && left <= 0) continue
      const point = start && [facts.newest, ...facts.oldest].find((each) => each?.id === start.pointId)
      if (start && point) {
        starts.push({ instance, point, level: start.level })
        room.set(instance.vaultId, left - 1)
      }
      looks.push({ id: instance.id, verification_due_at: lookAgainAt })
    }
    const started = await startVerifications(tx, { starts, now })
    await planLooks(tx, looks)
    return { looked: looks.length, started }
  })
}

const noPoints: InstancePoints = { pointCount: 0, newest: null, lastRestoredAt: null, oldest: [] }

/** Locked without waiting, the one that has been due longest first. */
async function lockDue(
  tx: Database,
  { now, atMost, pending }: StartDueVerifications & { pending: ReadonlyMap<string, PendingVerifications> },
): Promise<DueInstance[]> {
  const full = [...pending].flatMap(([vaultId, { others }]) => (others >= mostPending ? [vaultId] : []))
  const rows = await tx
    .select({ instance: backupInstances, rules: policyVersions.verification })
    .from(backupInstances)
    .innerJoin(
      policyVersions,
      and(
        eq(policyVersions.policyId, backupInstances.policyId),
        eq(policyVersions.version, backupInstances.policyVersion),
      ),
    )
    .where(
      and(
        or(
          lte(backupInstances.verificationDueAt, now),
          gt(backupInstances.verificationDueAt, new Date(now.getTime() + tooFarMs)),
        ),
        inArray(backupInstances.state, startsFrom('VERIFY_RECOVERY_POINT')),
        full.length === 0 ? undefined : notInArray(backupInstances.vaultId, full),
      ),
    )
    .orderBy(asc(backupInstances.verificationDueAt))
    .limit(atMost)
    .for('no key update', { of: backupInstances, skipLocked: true })
  return rows
}

/** Instances that nobody has looked at yet, after an upgrade for one, are not looked at all at once. */
async function planFirstLooks(tx: Database, { now, atMost }: StartDueVerifications): Promise<void> {
  const unplanned = await tx
    .select({ id: backupInstances.id, jitter: backupInstances.jitter })
    .from(backupInstances)
    .where(isNull(backupInstances.verificationDueAt))
    .limit(atMost)
    .for('no key update', { skipLocked: true })
  const spread = (jitter: number) => new Date(now.getTime() + jitter * firstSpreadMs)
  await planLooks(
    tx,
    unplanned.map(({ id, jitter }) => ({ id, verification_due_at: spread(jitter) })),
  )
}

async function planLooks(tx: Database, looks: readonly { id: string; verification_due_at: Date }[]): Promise<void> {
  if (looks.length === 0) return
  await tx.execute(sql`
    update ${backupInstances} set verification_due_at = planned.verification_due_at
    from ${recordset(backupInstances, looks)} planned
    where ${backupInstances.id} = planned.id`)
}
