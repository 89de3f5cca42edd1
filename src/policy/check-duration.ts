import { InvalidInput } from '../refusal.ts'
import { addDuration, parseDuration } from '../retention/duration.ts'

/** For how long recovery points may be kept by policies and by the rules of copies, days. */
export interface RetentionLimits {
  minDays: number
  maxDays: number
}

/** Refuses what is no duration of whole units, or keeps recovery points for less or more time than they may be; names the field. */
export function checkDuration(
  field: string,
  text: string,
  { limits, now, isPresent = false }: { limits: RetentionLimits; now: Date; isPresent?: boolean },
): void {
  const duration = parseDuration(text)
  if (!duration) {
    throw new InvalidInput(field, `"${text.slice(0, 60).toWellFormed()}" is not an ISO 8601 duration of whole units.`, [
      'Write it like P30D (30 days), P12W or P1Y.',
    ])
  }
  const days = (addDuration(now, duration).getTime() - now.getTime()) / 86_400_000
  // Put so that a moment too far away to be a Date is out of range too.
  if (days >= limits.minDays && days <= limits.maxDays) return
  throw new InvalidInput(
    field,
    `${text}${isPresent ? ', the present value of the policy,' : ''} is out of range: recovery points are kept ${limits.minDays} to ${limits.maxDays} days.`,
    [`Choose a duration from P${limits.minDays}D to P${limits.maxDays}D.`],
  )
}
