/** The kinds of recovery points, from the one with the least priority to the one with the most. */
export const tagsByPriority = ['DEFAULT', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] as const
export type RetentionTag = (typeof tagsByPriority)[number]
/** The tags that a period gives to its first successful backup. */
export type PeriodTag = Exclude<RetentionTag, 'DEFAULT'>

/** How long recovery points are kept: what decides the tag and the end of a new one. */
export interface RetentionRules {
  /** IANA name: days, weeks (from Monday), months and years are those of this zone. */
  timeZone: string
  /** ISO 8601 duration. */
  defaultRetention: string
  /** At most one of each tag; the duration is ISO 8601. */
  retentionRules: readonly { tag: PeriodTag; duration: string }[]
}

/** When the latest point of each tag was made: ISO 8601, or milliseconds since 1970. */
export type LastTagged = Readonly<Partial<Record<PeriodTag, string | number>>>
