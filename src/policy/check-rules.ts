import { Temporal } from 'temporal-polyfill'
import { InvalidInput } from '../refusal.ts'
import { tagsByPriority } from '../retention/rules.ts'
import { checkDuration, type RetentionLimits } from './check-duration.ts'
import { type AskedSchedule, checkSchedule } from './check-schedule.ts'
import type { PolicyRules } from './policy.ts'
import { isShorter } from './shortening.ts'

export const usualRetentionLimits: RetentionLimits = { minDays: 7, maxDays: 3653 }

/** The rules of a policy as somebody asks for them. */
export interface AskedRules extends Omit<PolicyRules, 'schedule'> {
  schedule: AskedSchedule | null
}

/**
 * Refuses rules that cannot be kept or that contradict each other, and names the field; answers them as they are stored:
 * the zone as it is spelled, times and days in order. `within` is the field that the rules were given in, if not at the top;
 * `present` are the rules that the policy has, of which what nobody asked to change may be out of range by now.
 */
export function checkRules(
  asked: AskedRules,
  { limits, now, within = '', present }: { limits: RetentionLimits; now: Date; within?: string; present?: PolicyRules },
): PolicyRules {
  const timeZone = checkTimeZone(`${within}timeZone`, asked.timeZone)
  const schedule = asked.schedule && checkSchedule(`${within}schedule`, asked.schedule)
  const { defaultRetention } = asked
  const isPresent = defaultRetention === present?.defaultRetention
  checkDuration(`${within}defaultRetention`, defaultRetention, { limits, now, isPresent })
  const seen = new Set<string>()
  for (const [index, { tag, duration }] of asked.retentionRules.entries()) {
    if (seen.has(tag)) {
      throw new InvalidInput(`${within}retentionRules[${index}].tag`, `There are two rules with the tag ${tag}.`, [
        'Keep the one that is meant.',
      ])
    }
    seen.add(tag)
    const isKept = present?.retentionRules.some((rule) => rule.tag === tag && rule.duration === duration) ?? false
    checkDuration(`${within}retentionRules[${index}].duration`, duration, { limits, now, isPresent: isKept })
  }
  checkPriorities(asked, within)
  const retentionRules = tagsByPriority.flatMap((tag) => asked.retentionRules.filter((rule) => rule.tag === tag))
  return { timeZone, schedule, defaultRetention: asked.defaultRetention, retentionRules }
}

/** A zone that Temporal knows by its name, in the usual spelling. */
function checkTimeZone(field: string, name: string): string {
  const refusal = new InvalidInput(field, `"${name.slice(0, 60).toWellFormed()}" is not the name of a time zone.`, [
    'Name a zone of the IANA database, such as "Europe/Berlin" or "UTC"; an offset says nothing of summer time.',
  ])
  if (!/^[A-Za-z]/.test(name)) throw refusal
  try {
    return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name).timeZoneId
  } catch (cause) {
    if (cause instanceof RangeError) throw refusal
    throw cause
  }
}

/** A rule takes a backup away from those below it, so it may not keep it for less time than they would. */
function checkPriorities(rules: Pick<AskedRules, 'defaultRetention' | 'retentionRules'>, within: string): void {
  for (const [index, rule] of rules.retentionRules.entries()) {
    const below = tagsByPriority.slice(0, tagsByPriority.indexOf(rule.tag)).map((tag) => ({
      tag,
      duration:
        tag === 'DEFAULT' ? rules.defaultRetention : rules.retentionRules.find((each) => each.tag === tag)?.duration,
    }))
    for (const { tag, duration } of below) {
      if (duration === undefined || !isShorter(rule.duration, duration)) continue
      throw new InvalidInput(
        `${within}retentionRules[${index}].duration`,
        `${rule.tag} keeps recovery points ${rule.duration}, which can be less than the ${duration} of ${tag}, although ${rule.tag} goes before ${tag}.`,
        [`Keep ${rule.tag} at least as long as ${tag}, or leave that rule out.`],
      )
    }
  }
}
