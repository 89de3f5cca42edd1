import { addDuration, parseDuration } from './duration.ts'
import { isSamePeriod, localDayOf, periodOf } from './period.ts'
import { type LastTagged, type PeriodTag, type RetentionRules, type RetentionTag, tagsByPriority } from './rules.ts'

export interface RetentionDecision {
  tag: RetentionTag
  expiresAt: Date
  /** One sentence that says why it has that tag. */
  reason: string
}

export interface NewPoint {
  createdAt: Date
  lastTagged: LastTagged
  /** Asked for by whoever started the backup; 'SCHEDULE' lets the rules decide, a tag without a rule is the default one. */
  requested: RetentionTag | 'SCHEDULE'
}

/**
 * The tag and the end of a recovery point made at a moment, under the rules of that moment.
 * Decided once, when the backup succeeds, and stored on the point: later changes of rules leave it alone.
 * The rule with the most priority wins whose period has no point of that tag, or of one before it, yet.
 */
export function decideRetention(
  rules: RetentionRules,
  { createdAt, lastTagged, requested }: NewPoint,
): RetentionDecision {
  const end = (duration: string) => addDuration(createdAt, durationOf(duration))
  const day = localDayOf(createdAt, rules.timeZone)
  const isServed = requested === 'SCHEDULE' ? servedPeriods(rules.timeZone, day, lastTagged) : undefined
  for (const tag of descending) {
    const rule = rules.retentionRules.find((each) => each.tag === tag)
    if (!rule) continue
    if (isServed ? isServed(rule.tag) : requested !== tag) continue
    const reason = isServed
      ? `The first successful backup of ${periodOf(rule.tag, day)}.`
      : `The tag ${tag} was asked for.`
    return { tag, expiresAt: end(rule.duration), reason }
  }
  return { tag: 'DEFAULT', expiresAt: end(rules.defaultRetention), reason: 'It falls under no other rule.' }
}

/** Tells of a tag whether a point of it, or of one with more priority, was made in the period that a day lies in. */
function servedPeriods(timeZone: string, day: number, lastTagged: LastTagged): (tag: PeriodTag) => boolean {
  const lastDays = periodTags.map((tag) => {
    const last = lastTagged[tag]
    return last === undefined ? undefined : localDayOf(new Date(last), timeZone)
  })
  return (tag) => {
    for (let index = periodTags.indexOf(tag); index < periodTags.length; index += 1) {
      const last = lastDays[index]
      if (last !== undefined && isSamePeriod(tag, day, last)) return true
    }
    return false
  }
}

const periodTags = tagsByPriority.filter((tag) => tag !== 'DEFAULT')
const descending = tagsByPriority.toReversed()

function durationOf(text: string) {
  const duration = parseDuration(text)
  if (!duration) throw new Error(`Not a duration: ${text}`)
  return duration
}
