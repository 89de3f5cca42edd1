import { randomUUID } from 'node:crypto'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupPolicies, policyVersions } from '../database/tables/policy.ts'
import { checkName, InvalidInput, NameTaken } from '../refusal.ts'
import { addDuration, parseDuration } from '../retention/duration.ts'
import type { BackupPolicy } from './policy.ts'

export interface CreatePolicy {
  name: string
  /** ISO 8601 duration, at least 7 days and at most 10 years. */
  defaultRetention: string
  actor: string
  now: Date
}

/** Adds a policy of backups on demand whose recovery points are kept for its default retention. */
export async function createPolicy(
  database: Database,
  { name, defaultRetention, actor, now }: CreatePolicy,
): Promise<BackupPolicy> {
  checkName('name', name)
  checkRetention(defaultRetention, now)
  return database.transaction(async (tx) => {
    const [created] = await tx
      .insert(backupPolicies)
      .values({ id: randomUUID(), name, createdAt: now })
      .onConflictDoNothing({ target: backupPolicies.name })
      .returning()
    if (!created) throw new NameTaken('policy', name)
    const [rules] = await tx
      .insert(policyVersions)
      .values({
        policyId: created.id,
        version: 1,
        timeZone: 'UTC',
        schedule: null,
        defaultRetention,
        retentionRules: [],
        createdAt: now,
        createdBy: actor,
      })
      .returning()
    if (!rules) throw new Error('A version that was inserted did not come back.')
    await recordAudit(tx, {
      actor,
      action: 'createPolicy',
      subject: { kind: 'BackupPolicy', id: created.id, name },
      detail: { defaultRetention },
      now,
    })
    return { ...created, rules }
  })
}

function checkRetention(text: string, now: Date): void {
  const duration = parseDuration(text)
  if (!duration) {
    throw new InvalidInput('defaultRetention', `"${text}" is not an ISO 8601 duration of whole units.`, [
      'Write it like P30D (30 days), P12W or P1Y.',
    ])
  }
  const end = addDuration(now, duration)
  const shortest = addDuration(now, { ...none, days: 7 })
  const longest = addDuration(now, { ...none, years: 10 })
  // Put so that a moment too far away to be a Date is out of range too.
  if (!(end >= shortest && end <= longest)) {
    throw new InvalidInput(
      'defaultRetention',
      `${text} is out of range: recovery points are kept 7 days to 10 years.`,
      ['Choose a duration from P7D to P10Y.'],
    )
  }
}

const none = { years: 0, months: 0, weeks: 0, days: 0, hours: 0, minutes: 0, seconds: 0 }
