import { acknowledgeContentAnomaly, NothingToAcknowledge } from '../../../instance/anomaly/acknowledge.ts'
import { findWaitingAnomalies } from '../../../instance/anomaly/find-waiting.ts'
import { ContentAnomalyNotAcknowledged } from '../../../instance/expiry/approve-expiry.ts'
import type { BackupInstance as InstanceRow } from '../../../instance/instance.ts'
import { OperationNotAllowed } from '../../../instance/states.ts'
import type { RecoveryPoint as PointRow } from '../../../recovery-point/recovery-point.ts'
import { InvalidInput, NotFound } from '../../../refusal.ts'
import { type ContentFall, sentenceOf } from '../../../retention/compare-content.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { mutation } from '../../schema/mutation.ts'
import { refusalType } from '../../schema/refusals.ts'
import { BackupInstance, idOf, RecoveryPoint } from '../declared.ts'
import { asked } from '../fields.ts'
import { dryRunField, outcome } from './lifecycle.ts'

const waitingOf = batched(({ database }, instanceIds) => findWaitingAnomalies(database, instanceIds))

const ContentAnomalyKind = enumeration<ContentFall['kind']>(
  'ContentAnomalyKind',
  'What a recovery point holds much less of than the last proven one before it.',
  {
    ROWS_FELL: 'It holds far fewer rows.',
    BYTES_FELL: 'Its databases were far smaller on the server.',
    TABLES_FELL: 'It holds far fewer tables.',
    DATABASE_VANISHED: 'A database is gone that held rows.',
    TABLE_EMPTIED: 'A table holds nothing that held a thousand rows or more, and a tenth of its database.',
  },
)

const ContentAnomaly = builder.objectRef<ContentFall>('ContentAnomaly').implement({
  description: 'Something of which a recovery point holds much less than the last proven one before it.',
  fields: (t) => ({
    kind: t.expose('kind', { type: ContentAnomalyKind, description: 'What it holds less of.' }),
    database: t.exposeString('database', {
      nullable: true,
      description: 'The database that it is about; null when it is about all of them together.',
    }),
    tableSchema: t.string({
      nullable: true,
      description: 'The schema of the table that was emptied; null for all other kinds.',
      resolve: ({ table }) => table?.schema,
    }),
    tableName: t.string({
      nullable: true,
      description: 'The name of the table that was emptied; null for all other kinds.',
      resolve: ({ table }) => table?.name,
    }),
    before: t.expose('before', {
      type: 'RowCount',
      description:
        'How many rows, bytes or tables the recovery point before held; of a database that vanished, its rows.',
    }),
    after: t.expose('after', { type: 'RowCount', description: 'How many of them this one holds.' }),
    message: t.string({ description: 'The same as a sentence.', resolve: sentenceOf }),
  }),
})

const AnomalyAcknowledgement = builder.objectRef<PointRow>('AnomalyAcknowledgement').implement({
  description: 'That somebody has said of the content anomalies of a recovery point that they are as they should be.',
  fields: (t) => ({
    at: t.field({
      type: 'DateTime',
      description: 'When it was said.',
      resolve: ({ anomalyAcknowledgedAt, createdAt }) => anomalyAcknowledgedAt ?? createdAt,
    }),
    by: t.string({
      description: 'Who said it, as `viewer` named them.',
      resolve: ({ anomalyAcknowledgedBy }) => anomalyAcknowledgedBy ?? '',
    }),
    comment: t.string({ description: 'Why.', resolve: ({ anomalyComment }) => anomalyComment ?? '' }),
  }),
})

const ContentAnomalyHold = builder.objectRef<InstanceRow>('ContentAnomalyHold').implement({
  description:
    'That nothing of a backup instance expires, because a recovery point holds much less than those before it and nobody has said that this is as it should be.',
  fields: (t) => ({
    since: t.field({
      type: 'DateTime',
      description: 'When the first such recovery point was made of those that wait.',
      resolve: ({ contentAnomalySince, createdAt }) => contentAnomalySince ?? createdAt,
    }),
    pointCount: t.int({
      description: 'How many recovery points wait to be acknowledged.',
      resolve: async ({ id }, _args, context) => (await waitingOf(context, id, undefined))?.pointCount ?? 0,
    }),
    recoveryPoints: t.field({
      type: [RecoveryPoint],
      description: 'Those recovery points, newest first, at most 10.',
      resolve: async ({ id }, _args, context) => (await waitingOf(context, id, undefined))?.pointIds ?? [],
    }),
  }),
})

builder.objectFields(BackupInstance, (t) => ({
  contentAnomaly: t.field({
    type: ContentAnomalyHold,
    nullable: true,
    description:
      'The content anomaly that waits for acknowledgeContentAnomaly and holds all expiry; null when none does.',
    resolve: (instance) => (instance.contentAnomalySince === null ? null : instance),
  }),
}))

builder.objectFields(RecoveryPoint, (t) => ({
  anomalies: t.expose('anomalies', {
    type: [ContentAnomaly],
    description:
      'What it held much less of than the last proven recovery point when it was recorded, by the limits that its policy had then; mostly empty.',
  }),
  anomalyAcknowledgement: t.field({
    type: AnomalyAcknowledgement,
    nullable: true,
    description:
      'That somebody has said that its anomalies are as they should be; null when nobody has, or it has none.',
    resolve: (point) => (point.anomalyAcknowledgedAt === null ? null : point),
  }),
}))

refusalType(NothingToAcknowledge, 'No content anomaly that is meant waits to be acknowledged.')

refusalType(
  ContentAnomalyNotAcknowledged,
  'A recovery point holds much less than those before it: nothing expires before that is acknowledged, approved or not.',
  (t) => ({
    backupInstance: t.field({
      type: BackupInstance,
      description: 'The backup instance.',
      resolve: ({ instanceId }) => instanceId,
    }),
  }),
)

mutation('acknowledgeContentAnomaly', {
  description:
    'Says of recovery points that hold much less than those before them that this is as it should be: later ones are compared with them, and once none is left that waits, expiry goes on.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: 'The id of the backup instance.' }),
    recoveryPoint: t.globalID({ description: 'The id of the one recovery point that is meant; all when left out.' }),
    comment: t.string({
      required: true,
      description:
        'Why it is as it should be, in at most 2,000 characters: whoever misses the data later will read that.',
    }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: {
    ...outcome,
    recoveryPoints: { type: [RecoveryPoint], description: 'The recovery points of which it was said.' },
  },
  refusals: [InvalidInput, NotFound, OperationNotAllowed, NothingToAcknowledge],
  resolve: async ({ backupInstance, recoveryPoint, comment, dryRun }, context) => {
    const { instance, points, effects } = await acknowledgeContentAnomaly(context.database, {
      instanceId: idOf('BackupInstance', backupInstance),
      recoveryPointId: recoveryPoint ? idOf('RecoveryPoint', recoveryPoint) : null,
      comment,
      dryRun,
      ...asked(context),
    })
    return { backupInstance: instance, effects, recoveryPoints: points }
  },
})
