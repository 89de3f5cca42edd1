import { randomUUID } from 'node:crypto'
import { and, asc, eq, inArray, lte, sql } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { recordset } from '../../database/recordset.ts'
import { backupInstances, scheduledStarts } from '../../database/tables/backup-instance.ts'
import { backupPolicies, policyVersions } from '../../database/tables/policy.ts'
import { type Enqueued, enqueueJobs } from '../../job/enqueue.ts'
import { lastStart, nextStart, type ScheduleRules, spreadStart, startsBetween } from '../../policy/schedule.ts'
import { startsFrom } from '../states.ts'

export interface StartDueBackups {
  /** The moment that decides what is due: by the clock that all schedulers share. */
  now: Date
  /** How many instances to decide on at once. */
  atMost: number
}

/** How many of the due instances were decided on, and how many of those starts became a job or were skipped. */
export interface DecidedStarts {
  decided: number
  started: number
  skipped: number
}

interface DueInstance {
  id: string
  name: string
  serverId: string
  vaultId: string
  policyId: string
  policyVersion: number
  jitter: number
  nominalAt: Date
}

/** What a policy's schedule says at a moment; one answer serves all of its instances. */
interface Present {
  policyName: string
  rules: ScheduleRules
  latest: Date | undefined
  next: Date | undefined
  missedSince: (nominal: Date) => number
}

interface Decision {
  instance: DueInstance
  policyName: string
  jobId: string
  nominalAt: Date
  missedStarts: number
}

const skipped = 'Another backup of the instance was queued or running.'
const mostMissed = 10_000

/**
 * Starts the scheduled backups whose moment has come, in one short transaction. Each instance answers to the latest start
 * that its schedule had, once however many went by unseen; where a backup is pending already the start is written down as
 * skipped. Any number of schedulers may do this at once: each due instance is decided on by one of them, and each of its
 * starts once.
 */
export async function startDueBackups(database: Database, { now, atMost }: StartDueBackups): Promise<DecidedStarts> {
  return database.transaction(async (tx) => {
    const due = await lockDue(tx, { now, atMost })
    if (due.length === 0) return { decided: 0, started: 0, skipped: 0 }
    const presents = await findPresents(tx, due, now)
    const decisions = due.flatMap((instance) => decide(instance, presents.get(keyOf(instance))))
    const fresh = await writeDown(tx, decisions, now)
    const enqueued = await enqueueJobs(
      tx,
      fresh.map((decision) => jobFor(decision, now)),
    )
    const held = await markSkipped(tx, fresh, enqueued)
    await plan(tx, due, presents)
    return { decided: due.length, started: fresh.length - held, skipped: held }
  })
}

/** Locked without waiting: what another scheduler or operation has at hand is seen to by it, or next time. */
async function lockDue(tx: Database, { now, atMost }: StartDueBackups): Promise<DueInstance[]> {
  const { id, name, serverId, vaultId, policyId, policyVersion, jitter, nextNominalAt } = backupInstances
  const rows = await tx
    .select({ id, name, serverId, vaultId, policyId, policyVersion, jitter, nextNominalAt })
    .from(backupInstances)
    .where(and(lte(backupInstances.nextBackupAt, now), inArray(backupInstances.state, startsFrom('BACK_UP_NOW'))))
    .orderBy(asc(backupInstances.nextBackupAt))
    .limit(atMost)
    .for('no key update', { skipLocked: true })
  return rows.map(({ nextNominalAt: nominalAt, ...instance }) => ({ ...instance, nominalAt: nominalAt ?? now }))
}

/** Read after the instances are locked: the versions that they follow cannot change any more. */
async function findPresents(tx: Database, due: readonly DueInstance[], now: Date): Promise<Map<string, Present>> {
  const pairs = new Map(due.map((each) => [keyOf(each), sql`(${each.policyId}::uuid, ${each.policyVersion}::int)`]))
  const rows = await tx
    .select({ policyName: backupPolicies.name, rules: policyVersions })
    .from(policyVersions)
    .innerJoin(backupPolicies, eq(backupPolicies.id, policyVersions.policyId))
    .where(sql`(${policyVersions.policyId}, ${policyVersions.version}) in (${sql.join([...pairs.values()], sql`, `)})`)
  return new Map(
    rows.map(({ policyName, rules }) => [
      keyOf({ policyId: rules.policyId, policyVersion: rules.version }),
      presentOf(policyName, rules, now),
    ]),
  )
}

function presentOf(policyName: string, rules: ScheduleRules, now: Date): Present {
  const latest = lastStart(rules, now)
  const known = new Map<number, number>()
  const missedSince = (nominal: Date) => {
    if (!latest || latest <= nominal) return 0
    const after = new Date(nominal.getTime() - 1)
    const missed =
      known.get(nominal.getTime()) ?? startsBetween(rules, { after, upTo: latest, atMost: mostMissed }).length - 1
    known.set(nominal.getTime(), missed)
    return missed
  }
  return { policyName, rules, latest, next: nextStart(rules, now), missedSince }
}

function decide(instance: DueInstance, present: Present | undefined): Decision[] {
  if (!present?.next) return []
  const { latest, policyName, missedSince } = present
  // Where the zone's rules were changed since it was planned, the planned start may be one that they no longer know.
  const nominalAt = latest && latest > instance.nominalAt ? latest : instance.nominalAt
  return [{ instance, policyName, jobId: randomUUID(), nominalAt, missedStarts: missedSince(instance.nominalAt) }]
}

/** Answers those that nobody has decided on before. */
async function writeDown(tx: Database, decisions: readonly Decision[], now: Date): Promise<Decision[]> {
  if (decisions.length === 0) return []
  const rows = decisions.map(({ instance, nominalAt, jobId, missedStarts }) => ({
    instance_id: instance.id,
    nominal_at: nominalAt,
    job_id: jobId,
    missed_starts: missedStarts,
  }))
  const written = await tx.execute<{ job_id: string }>(sql`
    insert into ${scheduledStarts} (instance_id, nominal_at, decided_at, outcome, job_id, missed_starts)
    select instance_id, nominal_at, ${now.toISOString()}::timestamptz, 'STARTED', job_id, missed_starts
    from ${recordset(scheduledStarts, rows)}
    on conflict do nothing
    returning job_id`)
  const fresh = new Set(written.map((each) => each.job_id))
  return decisions.filter(({ jobId }) => fresh.has(jobId))
}

function jobFor({ instance, policyName, jobId, nominalAt }: Decision, now: Date) {
  const { id: instanceId, name: instanceName, serverId, vaultId } = instance
  return {
    id: jobId,
    operation: 'BACKUP' as const,
    trigger: 'SCHEDULE' as const,
    input: {},
    subject: { instanceId, vaultId, serverId, instanceName, policyName },
    exclusiveKey: `backup:${instanceId}`,
    lanes: [`server:${serverId}`, `vault:${vaultId}`],
    maxAttempts: 3,
    actor: 'holdfast',
    now,
    scheduledFor: nominalAt,
  }
}

/** Corrects what was written down of the starts whose instance has a pending backup; answers how many those are. */
async function markSkipped(tx: Database, fresh: readonly Decision[], enqueued: readonly Enqueued[]): Promise<number> {
  const held = fresh.flatMap(({ instance, nominalAt }, index) => {
    const answer = enqueued[index]
    if (!answer || !('heldBy' in answer)) return []
    return [{ instance_id: instance.id, nominal_at: nominalAt, job_id: answer.heldBy }]
  })
  if (held.length === 0) return 0
  await tx.execute(sql`
    update ${scheduledStarts} set outcome = 'SKIPPED', reason = ${skipped}, job_id = held.job_id
    from ${recordset(scheduledStarts, held)} held
    where ${scheduledStarts.instanceId} = held.instance_id and ${scheduledStarts.nominalAt} = held.nominal_at`)
  return held.length
}

/** Sets when each instance starts next: at its own place within the spread of the first start to come. */
async function plan(tx: Database, due: readonly DueInstance[], presents: Map<string, Present>): Promise<void> {
  const plans = due.map((instance) => {
    const { next, rules } = presents.get(keyOf(instance)) ?? {}
    const startAt = next && rules?.schedule && spreadStart(next, rules.schedule.spreadMinutes, instance.jitter)
    return { id: instance.id, next_nominal_at: next ?? null, next_backup_at: startAt ?? null }
  })
  await tx.execute(sql`
    update ${backupInstances} set next_nominal_at = planned.next_nominal_at, next_backup_at = planned.next_backup_at
    from ${recordset(backupInstances, plans)} planned
    where ${backupInstances.id} = planned.id`)
}

function keyOf({ policyId, policyVersion }: { policyId: string; policyVersion: number }): string {
  return `${policyId} ${policyVersion}`
}
