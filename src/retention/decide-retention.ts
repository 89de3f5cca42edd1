import { addDuration, parseDuration } from './duration.ts'
import { periodOf } from './period.ts'
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
  for (const tag of tagsByPriority.toReversed()) {
    const rule = rules.retentionRules.find((each) => each.tag === tag)
    if (!rule) continue
    if (requested === 'SCHEDULE' ? isServed(rules.timeZone, rule.tag, createdAt, lastTagged) : requested !== tag)
      continue
    const reason =
      requested === 'SCHEDULE'
        ? `The first successful backup of ${periodOf(rule.tag, createdAt, rules.timeZone)}.`
        : `The tag ${tag} was asked for.`
    return { tag, expiresAt: end(rule.duration), reason }
  }
  return { tag: 'DEFAULT', expiresAt: end(rules.defaultRetention), reason: 'It falls under no other rule.' }
}

/** Whether a point of this tag, or of one with more priority, was made in the same period. */
function isServed(timeZone: string, tag: PeriodTag, at: Date, lastTagged: LastTagged): boolean {
  const period = periodOf(tag, at, timeZone)
  return tagsByPriority.slice(tagsByPriority.indexOf(tag)).some((each) => {
    const last = each === 'DEFAULT' ? undefined : lastTagged[each]
    return last !== undefined && periodOf(tag, new Date(last), timeZone) === period
  })
}

function durationOf(text: string) {
  const duration = parseDuration(text)
  if (!duration) throw new Error(`Not a duration: ${text}`)
  return duration
}
