import { addDuration, parseDuration } from './duration.ts'

export interface RetentionRules {
  /** ISO 8601 duration. */
  defaultRetention: string
}

export interface RetentionDecision {
  tag: 'DEFAULT'
  expiresAt: Date
}

/**
 * The tag and the end of a recovery point made at a moment, under the rules of that moment.
 * Decided once, when the backup succeeds, and stored on the point: later changes of rules leave it alone.
 */
export function decideRetention(rules: RetentionRules, createdAt: Date): RetentionDecision {
  const duration = parseDuration(rules.defaultRetention)
  if (!duration) throw new Error(`Not a duration: ${rules.defaultRetention}`)
  return { tag: 'DEFAULT', expiresAt: addDuration(createdAt, duration) }
}
