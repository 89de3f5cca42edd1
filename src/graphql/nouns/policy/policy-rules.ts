import { describeSchedule } from '../../../policy/describe-schedule.ts'
import type { PolicyVersion as Version } from '../../../policy/policy.ts'
import { builder, type Types } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { proofFields } from './policy-proof.ts'
import { Schedule } from './policy-schedule.ts'

type Rule = Version['retentionRules'][number]

export const PeriodTag = enumeration<Rule['tag']>(
  'PeriodTag',
  'A period whose first successful backup is kept for a duration of its own.',
  {
    DAILY: 'The day, from midnight on.',
    WEEKLY: 'The week, from Monday on; goes before the day.',
    MONTHLY: 'The month; goes before the week.',
    YEARLY: 'The year; goes before the month.',
  },
)

const RetentionRule = builder.objectRef<Rule>('RetentionRule').implement({
  description: 'How long the first successful backup of each such period is kept.',
  fields: (t) => ({
    tag: t.expose('tag', { type: PeriodTag, description: 'The period, and the tag of its recovery point.' }),
    duration: t.expose('duration', { type: 'Duration', description: 'How long that recovery point is kept.' }),
  }),
})

export const RetentionRuleInput = builder.inputType('RetentionRuleInput', {
  description: 'How long the first successful backup of each such period is kept.',
  fields: (t) => ({
    tag: t.field({ type: PeriodTag, required: true, description: 'The period: one rule for each at most.' }),
    duration: t.field({
      type: 'Duration',
      required: true,
      description:
        'How long that recovery point is kept: whole units, at least as long as the shorter periods and the default.',
    }),
  }),
})

/** The fields that tell the rules of a policy, wherever they are found. */
export function rulesFields<Row>(t: PothosSchemaTypes.ObjectFieldBuilder<Types, Row>, rulesOf: (row: Row) => Version) {
  return {
    version: t.int({
      description: 'The number of this set of rules: 1 at first, one more with each revision.',
      resolve: (row) => rulesOf(row).version,
    }),
    timeZone: t.field({
      type: 'TimeZone',
      description: 'The zone whose clock and calendar the schedule and the periods of retention go by.',
      resolve: (row) => rulesOf(row).timeZone,
    }),
    schedule: t.field({
      type: Schedule,
      nullable: true,
      description: 'When backups start by themselves; null when they start on demand alone.',
      resolve: (row) => rulesOf(row).schedule,
    }),
    scheduleDescription: t.string({
      description: 'The same in words, such as "Every day at 02:00 and 14:00, Europe/Berlin".',
      resolve: (row) => describeSchedule(rulesOf(row)),
    }),
    defaultRetention: t.field({
      type: 'Duration',
      description: 'How long a recovery point is kept that falls under no other rule.',
      resolve: (row) => rulesOf(row).defaultRetention,
    }),
    retentionRules: t.field({
      type: [RetentionRule],
      description: 'The further rules, from the one with the least priority to the one with the most.',
      resolve: (row) => rulesOf(row).retentionRules,
    }),
    ...proofFields(t, rulesOf),
  }
}

export const PolicyVersion = builder.objectRef<Version>('PolicyVersion').implement({
  description: 'The rules of a policy as they were from one revision to the next; never changed.',
  fields: (t) => ({
    ...rulesFields(t, (version) => version),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Since when they held.' }),
    createdBy: t.exposeString('createdBy', { description: 'Who gave them; `holdfast` for the service itself.' }),
  }),
})
