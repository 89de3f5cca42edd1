import { type Page, type PageRequest, pageOf } from '../../../database/page.ts'
import { checkRules } from '../../../policy/check-rules.ts'
import { findPolicies } from '../../../policy/find.ts'
import type { PolicyRules } from '../../../policy/policy.ts'
import {
  countAt,
  type PolicyPreview as Preview,
  type PreviewedPoint,
  pointsAt,
  previewRules,
} from '../../../policy/preview.ts'
import { type TimelineEntry, timelineOf } from '../../../policy/preview-timeline.ts'
import { InvalidInput } from '../../../refusal.ts'
import type { GraphqlContext } from '../../context.ts'
import { badUserInput, limitExceeded } from '../../schema/bad-user-input.ts'
import { builder } from '../../schema/builder.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import { isWritable } from '../../schema/scalars.ts'
import { BackupPolicy } from '../declared.ts'
import { RetentionRuleInput } from './policy-rules.ts'
import { askedSchedule, ScheduleInput } from './policy-schedule.ts'
import { PreviewedKeptPoint, PreviewedRecoveryPoint, PreviewedRecoveryPointConnection } from './previewed-point.ts'

/** A preview with the size that its points are taken to have; null: nobody said. */
type SizedPreview = Preview & { pointBytes: number | null }

const mostPointsAtOnce = 10_000

const TimelineEntryRef = builder
  .objectRef<TimelineEntry & { pointBytes: number | null }>('PolicyPreviewTimelineEntry')
  .implement({
    description: 'How much would be kept at a moment.',
    fields: (t) => ({
      at: t.expose('at', { type: 'DateTime', description: 'The moment.' }),
      pointCount: t.exposeInt('pointCount', { description: 'How many recovery points would exist.' }),
      bytes: t.field({
        type: 'ByteCount',
        nullable: true,
        description: 'How many bytes they would take; null when no size was assumed.',
        resolve: ({ pointCount, pointBytes }) => pointBytes && pointBytes * pointCount,
      }),
    }),
  })

const PolicyPreview = builder.objectRef<SizedPreview>('PolicyPreview').implement({
  description: 'What a policy would keep if every backup by its schedule succeeded; nothing is changed by asking.',
  fields: (t) => ({
    start: t.expose('start', { type: 'DateTime', description: 'When it begins, with no recovery point.' }),
    end: t.expose('end', { type: 'DateTime', description: 'When it ends.' }),
    pointCount: t.int({
      description: 'How many recovery points would be made in all.',
      resolve: ({ points }) => points.length,
    }),
    maxPointCount: t.exposeInt('maxPointCount', { description: 'How many would exist at once, at most.' }),
    maxBytes: t.field({
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes they would take then; null when no size was assumed.',
      resolve: ({ maxPointCount, pointBytes }) => pointBytes && pointBytes * maxPointCount,
    }),
    maxAt: t.expose('maxAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When that would be the case first; null when none is ever made.',
    }),
    points: t.field({
      type: PreviewedRecoveryPointConnection,
      description: 'All recovery points that would be made, oldest first.',
      args: pageArgs(t),
      resolve: ({ points }, args) => ({
        page: pageOfPoints(points, pageRequest(PreviewedRecoveryPoint, args)),
        count: async () => points.length,
      }),
    }),
    on: t.field({
      type: [PreviewedKeptPoint],
      description: `The recovery points that would exist at a moment, oldest first; refused when they are more than ${mostPointsAtOnce}.`,
      args: { date: t.arg({ type: 'DateTime', required: true, description: 'The moment.' }) },
      resolve: (preview, { date }) => {
        const count = countAt(preview, date)
        if (count > mostPointsAtOnce) {
          throw limitExceeded(
            `${count} recovery points would exist then; at most ${mostPointsAtOnce} are answered: ask for \`points\`.`,
          )
        }
        return pointsAt(preview, date)
      },
    }),
    timeline: t.field({
      type: [TimelineEntryRef],
      description: 'How much would be kept from the start to the end, at most 1,000 entries.',
      args: {
        every: t.arg({
          type: 'Duration',
          description: 'The time from one entry to the next; a day, or more where the entries would be too many.',
        }),
      },
      resolve: (preview, { every }) =>
        validated(() => timelineOf(preview, every ?? null)).map((entry) => ({
          ...entry,
          pointBytes: preview.pointBytes,
        })),
    }),
  }),
})

const PolicyRulesInput = builder.inputType('PolicyRulesInput', {
  description: 'The rules that a policy might have.',
  fields: (t) => ({
    timeZone: t.field({
      type: 'TimeZone',
      required: true,
      defaultValue: 'UTC',
      description: 'The zone whose clock and calendar the schedule and the periods of retention go by.',
    }),
    schedule: t.field({ type: ScheduleInput, required: true, description: 'When backups start.' }),
    defaultRetention: t.field({
      type: 'Duration',
      required: true,
      description: 'How long recovery points are kept that fall under no other rule.',
    }),
    retentionRules: t.field({
      type: [RetentionRuleInput],
      required: true,
      defaultValue: [],
      description: 'How long the first successful backup of each day, week, month or year is kept.',
    }),
  }),
})

const PreviewedPolicyInput = builder.inputType('PreviewedPolicyInput', {
  description: 'What to preview; exactly one of both.',
  isOneOf: true,
  fields: (t) => ({
    id: t.globalID({ for: BackupPolicy, description: 'A policy that there is, by its present rules.' }),
    rules: t.field({ type: PolicyRulesInput, description: 'Rules that a policy might have.' }),
  }),
})

const PreviewPolicyInput = builder.inputType('PreviewPolicyInput', {
  description: 'What previewPolicy is asked.',
  fields: (t) => ({
    policy: t.field({ type: PreviewedPolicyInput, required: true, description: 'A policy or rules.' }),
    start: t.field({ type: 'DateTime', description: 'When it begins; now when left out.' }),
    horizon: t.field({
      type: 'Duration',
      required: true,
      defaultValue: 'P1Y',
      description: 'How far it looks ahead: "P1D" (a day) to "P10Y" (10 years), and at most 100,000 backups.',
    }),
    pointBytes: t.field({
      type: 'ByteCount',
      description: 'The size that each recovery point is taken to have; nothing is said of bytes when left out.',
    }),
  }),
})

builder.queryField('previewPolicy', (t) =>
  t.field({
    type: PolicyPreview,
    description: 'What a policy would keep, when each recovery point would go, and how much that is at most.',
    args: { input: t.arg({ type: PreviewPolicyInput, required: true, description: 'What is asked.' }) },
    resolve: async (_root, { input }, context) => {
      const { policy, start, horizon, pointBytes = null } = input
      const rules = await rulesOf(policy, context)
      const preview = validated(() => previewRules(rules, { start: start ?? context.now(), horizon }))
      if (!isWritable(preview.end) || !preview.points.every(({ expiresAt }) => isWritable(expiresAt))) {
        throw badUserInput('`start`: the preview reaches beyond the year 9999.')
      }
      if (!Number.isSafeInteger((pointBytes ?? 0) * preview.points.length)) {
        throw badUserInput('`pointBytes`: so many bytes cannot be counted.')
      }
      return { ...preview, pointBytes }
    },
  }),
)

async function rulesOf(
  { id, rules }: typeof PreviewedPolicyInput.$inferInput,
  { database, now, retentionLimits: limits }: GraphqlContext,
): Promise<PolicyRules> {
  if (rules) {
    const asked = { ...rules, schedule: askedSchedule(rules.schedule) }
    return validated(() => checkRules(asked, { limits, now: now(), within: 'policy.rules.' }))
  }
  const [policy] = await findPolicies(database, id ? [id.id] : [])
  if (!policy) throw badUserInput('`policy.id`: there is no policy with that id.')
  return policy.rules
}

/** A query has no refusals among its answers: what is wrong with its input is an error that names the field. */
function validated<Value>(work: () => Value): Value {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof InvalidInput) throw badUserInput(`\`${cause.field}\`: ${cause.message}`)
    throw cause
  }
}

/** The page of points in order of time that a keyset by time would answer. */
function pageOfPoints(points: readonly PreviewedPoint[], page: PageRequest): Page<PreviewedPoint> {
  const { last, after, before } = page
  const between = points.filter(
    ({ createdAt }) => (!after || createdAt > after.at) && (!before || createdAt < before.at),
  )
  return pageOf(last === undefined ? between : between.toReversed(), page)
}
