import type { AnomalyGate } from '../database/tables/policy.ts'
import { addDuration, parseDuration } from '../retention/duration.ts'
import { tagsByPriority } from '../retention/rules.ts'
import { describeSchedule } from './describe-schedule.ts'
import type { PolicyRules, ProofRules, Schedule } from './policy.ts'

type Decoding = ProofRules['verification']['decode']

/**
 * What becomes shorter for new recovery points when one set of rules takes the place of another, a sentence each; empty
 * when nothing does. Shorter is: a tag that is kept for less time, a rule that is gone and whose points the default keeps
 * for less time, backups that start less often on average or by no schedule any more.
 */
export function shortenings(before: PolicyRules, after: PolicyRules): string[] {
  return [...shorterRetention(before, after), ...rarerStarts(before, after)]
}

/**
 * Which guards of recovery points become weaker when one set of rules takes the place of another, a sentence each; empty
 * when none does. Weaker is: falls of what points hold that are looked at no more, or only when they are greater; decoding or
 * restoring that ends, or comes less often; decoding once in the place of again and again, or the other way about.
 */
export function weakenings(before: ProofRules, after: ProofRules): string[] {
  return [...weakerGate(before.anomalyGate, after.anomalyGate), ...rarerProof(before.verification, after.verification)]
}

function weakerGate(before: AnomalyGate | null, after: AnomalyGate | null): string[] {
  if (before && !after)
    return ['What recovery points hold is no longer compared with those before: nothing holds expiry.']
  return (['rows', 'bytes', 'tables'] as const).flatMap((what) => {
    const [was, is] = [before?.[what] ?? null, after?.[what] ?? null]
    if (was === null || (is !== null && is <= was)) return []
    return is === null
      ? [`A fall of ${what} is no longer looked at.`]
      : [`A fall of ${what} by ${is} percent, instead of ${was}, is taken for none.`]
  })
}

function rarerProof(before: ProofRules['verification'], after: ProofRules['verification']): string[] {
  const decode = rarerDecoding(before.decode, after.decode)
  if (before.restoreEvery === null) return decode
  return after.restoreEvery === null
    ? [...decode, 'Recovery points are no longer restored to prove them.']
    : [...decode, ...longer('restored every', before.restoreEvery, after.restoreEvery)]
}

/**
 * Of the two kinds neither is as strong as the other: one decodes a point soon but never again, the other again and again
 * but perhaps late. Both changes are told, so that no two of them weaken together what one alone may not.
 */
function rarerDecoding(before: Decoding, after: Decoding): string[] {
  if (!before) return []
  if (!after) return ['Recovery points are no longer decoded to prove them.']
  if (before.kind === 'WITHIN') {
    return after.kind === 'WITHIN'
      ? longer('decoded within', before.duration, after.duration)
      : [`Recovery points are decoded once instead of within ${before.duration}.`]
  }
  return after.kind === 'WITHIN'
    ? [`Recovery points are decoded within ${after.duration} instead of soon after they were made.`]
    : []
}

function longer(how: string, before: string, after: string): string[] {
  return isShorter(before, after) ? [`Recovery points are ${how} ${after} instead of ${before}.`] : []
}

/** Whether there are moments from which one ISO 8601 duration ends sooner than another. */
export function isShorter(duration: string, than: string): boolean {
  const [one, other] = [parsed(duration), parsed(than)]
  return monthEnds.some((start) => addDuration(start, one) < addDuration(start, other))
}

function shorterRetention(before: PolicyRules, after: PolicyRules): string[] {
  return tagsByPriority.flatMap((tag) => {
    const kept = durationOf(before, tag)
    if (kept === undefined) return []
    const keeps = durationOf(after, tag)
    if (!isShorter(keeps ?? after.defaultRetention, kept)) return []
    return keeps === undefined
      ? [`The rule ${tag} (${kept}) is gone: its recovery points are kept ${after.defaultRetention} by default.`]
      : [`Recovery points with the tag ${tag} are kept ${keeps} instead of ${kept}.`]
  })
}

function rarerStarts(before: PolicyRules, after: PolicyRules): string[] {
  if (!before.schedule) return []
  if (!after.schedule) return ['Backups no longer start by a schedule.']
  // Rates are fractions: a thousandth of a start a day is no difference that a schedule can make.
  if (startsPerDay(after.schedule) > startsPerDay(before.schedule) - 0.001) return []
  return [`Backups start less often: "${describeSchedule(after)}" instead of "${describeSchedule(before)}".`]
}

/** How many backups a schedule starts a day, on average. */
function startsPerDay(schedule: Schedule): number {
  switch (schedule.kind) {
    case 'HOURLY':
      return 24 / schedule.everyHours
    case 'DAILY':
      return schedule.times.length
    case 'WEEKLY':
      return (schedule.weekdays.length * schedule.times.length) / 7
    case 'MONTHLY':
      return ((schedule.daysOfMonth.length + (schedule.onLastDay ? 1 : 0)) * schedule.times.length * 12) / 365.2425
  }
}

function durationOf(rules: PolicyRules, tag: (typeof tagsByPriority)[number]): string | undefined {
  if (tag === 'DEFAULT') return rules.defaultRetention
  return rules.retentionRules.find((rule) => rule.tag === tag)?.duration
}

function parsed(text: string) {
  const duration = parseDuration(text)
  if (!duration) throw new Error(`Not a duration: ${text}`)
  return duration
}

/** The first and the last day of each month of five years, leap years among them: where months differ from days. */
const monthEnds = Array.from({ length: 60 }, (_, month) => [
  new Date(Date.UTC(2023, month, 1)),
  new Date(Date.UTC(2023, month + 1, 0)),
]).flat()
