import type { BackupInstance as InstanceRow } from '../../../instance/instance.ts'
import { findGrowth, findLandmarks, type GrowthSample, type Landmark } from '../../../recovery-point/find-landmarks.ts'
import { badUserInput } from '../../schema/bad-user-input.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { BackupInstance, RecoveryPoint } from '../declared.ts'
import { holdingsOf } from '../loaded.ts'

const dayMs = 86_400_000
const mostDays = 366

const landmarkOf = batched(({ database }, instanceIds, landmark: Landmark) =>
  findLandmarks(database, instanceIds, landmark),
)

/** In days before now, so that equal questions are one statement. */
const growthOf = batched(
  ({ database }, instanceIds, { since }: { since: number; days: number }) =>
    findGrowth(database, instanceIds, new Date(since)),
  ({ days }) => days,
)

interface Growth {
  since: Date
  samples: GrowthSample[]
  sourceBytesPerDay: number | null
  storedBytesPerDay: number
}

const Sample = builder.objectRef<GrowthSample>('GrowthPoint').implement({
  description: 'The sizes of a backup instance at one of its recovery points.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When that recovery point was recorded.' }),
    sourceBytes: t.expose('sourceBytes', {
      type: 'ByteCount',
      description: "The size of the server's databases when they were dumped.",
    }),
    storedBytes: t.expose('storedBytes', {
      type: 'ByteCount',
      description: 'How much that recovery point takes in the vault.',
    }),
  }),
})

const InstanceGrowth = builder.objectRef<Growth>('InstanceGrowth').implement({
  description: 'How a backup instance grew over the last days, by the recovery points that are kept.',
  fields: (t) => ({
    since: t.expose('since', { type: 'DateTime', description: 'From when on its recovery points are looked at.' }),
    sourceBytesPerDay: t.exposeFloat('sourceBytesPerDay', {
      nullable: true,
      description:
        "By how many bytes the server's databases grew a day, negative when they shrank; null while there are no two recovery points a day apart.",
    }),
    storedBytesPerDay: t.exposeFloat('storedBytesPerDay', {
      description: 'How many bytes its new recovery points took in the vault a day, without those removed meanwhile.',
    }),
    points: t.field({
      type: [Sample],
      description: 'The last recovery point of each day, oldest first; days without one are left out.',
      resolve: ({ samples }) => samples,
    }),
  }),
})

builder.objectFields(BackupInstance, (t) => ({
  recoveryPointCount: t.int({
    description: 'How many recovery points it has, without second copies.',
    resolve: async ({ id }, _args, context) => (await holdingsOf(context, id, 'instance'))?.pointCount ?? 0,
  }),
  oldestRecoveryPoint: t.field({
    type: RecoveryPoint,
    nullable: true,
    description:
      'The recovery point that was made first of all that are kept, without second copies; null before the first.',
    resolve: ({ id }, _args, context) => landmarkOf(context, id, 'OLDEST'),
  }),
  latestProvenPoint: t.field({
    type: RecoveryPoint,
    nullable: true,
    description:
      'The newest recovery point that can be restored and was read back at least; null while there is none. Its age against the schedule decides isOverdue.',
    resolve: ({ id }, _args, context) => landmarkOf(context, id, 'LATEST_PROVEN'),
  }),
  growth: t.field({
    type: InstanceGrowth,
    description: 'How it grew over the last days.',
    args: {
      days: t.arg.int({
        required: true,
        defaultValue: 30,
        description: `How many days to look back, 1 to ${mostDays}.`,
      }),
    },
    resolve: async (instance, { days }, context) => {
      if (days < 1 || days > mostDays) throw badUserInput(`\`days\` is 1 to ${mostDays}; ${days} was given.`)
      const now = startOf(context)
      const since = now - days * dayMs
      const grown = await growthOf(context, instance.id, { since, days: days + 1 })
      return growth(instance, { now, since, samples: grown?.samples ?? [], storedBytes: grown?.storedBytes ?? 0 })
    },
  }),
}))

const starts = new WeakMap<object, number>()

/** The present of one operation: the same for all of its instances. */
function startOf(context: { now: () => Date }): number {
  const start = starts.get(context) ?? context.now().getTime()
  starts.set(context, start)
  return start
}

function growth(
  { createdAt }: InstanceRow,
  { now, since, samples, storedBytes }: { now: number; since: number; samples: GrowthSample[]; storedBytes: number },
): Growth {
  const [first, last] = [samples.at(0), samples.at(-1)]
  const daysBetween = first && last ? (last.at.getTime() - first.at.getTime()) / dayMs : 0
  const daysProtected = Math.max(1, (now - Math.max(since, createdAt.getTime())) / dayMs)
  return {
    since: new Date(since),
    samples,
    sourceBytesPerDay: first && last && daysBetween >= 1 ? (last.sourceBytes - first.sourceBytes) / daysBetween : null,
    storedBytesPerDay: storedBytes / daysProtected,
  }
}
