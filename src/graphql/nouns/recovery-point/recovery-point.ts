import { countRecoveryPoints, pageRecoveryPoints, type RecoveryPointFilter } from '../../../recovery-point/find.ts'
import type { RecoveryPoint as PointRow } from '../../../recovery-point/recovery-point.ts'
import { builder } from '../../schema/builder.ts'
import { checkSpan } from '../../schema/filter-checks.ts'
import { nodeQuery } from '../../schema/node.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import { BackupInstance, Job, RecoveryPoint, RecoveryPointConnection, Vault } from '../declared.ts'
import { ProofLevel, RecoveryPointState, RetentionTag } from '../enums.ts'
import { versionText, whereItLies } from '../fields.ts'

const ContainedDatabase = builder.objectRef<PointRow['databases'][number]>('ContainedDatabase').implement({
  description: 'One database that a recovery point holds.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name on the server.' }),
    sourceBytes: t.expose('sourceBytes', {
      type: 'ByteCount',
      description: 'Its size on the server when it was dumped.',
    }),
    storedBytes: t.expose('storedBytes', { type: 'ByteCount', description: 'Its size in the vault, as stored.' }),
    tableCount: t.exposeInt('tableCount', { description: 'How many tables it has.' }),
    rowCount: t.expose('rowCount', {
      type: 'RowCount',
      description: 'How many rows its tables have together, counted in the snapshot of the dump.',
    }),
  }),
})

RecoveryPoint.implement({
  description: 'One backup that can be returned to.',
  fields: (t) => ({
    backupInstance: t.field({
      type: BackupInstance,
      description: 'The backup instance that it is of.',
      resolve: ({ instanceId }) => instanceId,
    }),
    vault: t.field({ type: Vault, description: 'The vault that keeps it.', resolve: ({ vaultId }) => vaultId }),
    job: t.field({
      type: Job,
      nullable: true,
      description:
        'The job that made it: a backup, or the copy of another; null when the point was imported from its vault, whose jobs are not kept there.',
      resolve: ({ jobId }) => jobId,
    }),
    state: t.expose('state', { type: RecoveryPointState, description: 'Whether it may be restored from.' }),
    damage: t.exposeStringList('damage', {
      description: 'Why it is SUSPECT, one sentence for each finding, which names it; empty otherwise.',
    }),
    damageLevel: t.expose('damageLevel', {
      type: ProofLevel,
      nullable: true,
      description:
        'How far the verification went that found the damage: only one that goes as far can clear it. Null without damage.',
    }),
    tag: t.expose('tag', { type: RetentionTag, description: 'The rule that decided how long it is kept.' }),
    isTagRequested: t.exposeBoolean('isTagRequested', {
      description: 'Whether whoever asked for the backup named that rule; otherwise it was the first of its period.',
    }),
    policyName: t.exposeString('policyName', {
      description: 'The name that the policy had which decided tag and end.',
    }),
    policyVersion: t.exposeInt('policyVersion', { description: 'The version of that policy which decided them.' }),
    pointInTime: t.expose('pointInTime', {
      type: 'DateTime',
      description: 'The moment whose data it holds: that of the snapshot of its first dump.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When it was complete and recorded; a second copy has that of its original.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When its time is over; decided when it was made and not changed by later policies.',
    }),
    proof: t.expose('proof', { type: ProofLevel, description: 'How far it has been shown to be good.' }),
    provenAt: t.expose('provenAt', { type: 'DateTime', description: 'When that was last shown.' }),
    lastReadAt: t.expose('lastReadAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When all its stored bytes were last read again and found right; null: not since it was recorded.',
    }),
    decodedAt: t.expose('decodedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last decoded to its end; null: never.',
    }),
    restoredAt: t.expose('restoredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last restored into a scratch server and found right; null: never.',
    }),
    serverVersion: t.string({
      description: 'The version of the server when it was made, such as "15.6".',
      resolve: ({ serverVersionNumber }) => versionText(serverVersionNumber),
    }),
    toolMajor: t.exposeInt('toolMajor', {
      description: 'The major version of the pg_dump that made it; a pg_restore of that version or later reads it.',
    }),
    sourceBytes: t.expose('sourceBytes', {
      type: 'ByteCount',
      description: 'The size of its databases on the server when they were dumped.',
    }),
    storedBytes: t.expose('storedBytes', { type: 'ByteCount', description: 'Its size in the vault, as stored.' }),
    databases: t.expose('databases', { type: [ContainedDatabase], description: 'The databases that it holds.' }),
  }),
})

nodeQuery('recoveryPoint', RecoveryPoint, 'A recovery point by its id; null when there is none.')

const RecoveryPointsFilter = builder.inputType('RecoveryPointFilter', {
  description: 'Which recovery points: those that everything given holds for.',
  fields: (t) => ({
    instance: t.globalID({ for: BackupInstance, description: 'Of the backup instance with this id.' }),
    vault: t.globalID({ for: Vault, description: 'In the vault with this id, second copies too.' }),
    isCopy: t.boolean({
      description:
        'Second copies alone, or originals alone; null for both. When it is left out: both where a vault is named, else originals alone.',
    }),
    state: t.field({
      type: [RecoveryPointState],
      description: 'In one of these states; with `isCopy: null`, second copies too.',
    }),
    tag: t.field({ type: [RetentionTag], description: 'With one of these tags.' }),
    minProof: t.field({ type: ProofLevel, description: 'Shown to be good at least that far.' }),
    createdAfter: t.field({ type: 'DateTime', description: 'Created at this moment or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Created before this moment.' }),
    expiresBefore: t.field({ type: 'DateTime', description: 'Expiring before this moment.' }),
  }),
})

function filterOf(given: typeof RecoveryPointsFilter.$inferInput | null | undefined): RecoveryPointFilter {
  const { instance, vault, isCopy, state, tag, minProof, createdAfter, createdBefore, expiresBefore } = given ?? {}
  checkSpan(['filter.createdAfter', createdAfter], ['filter.createdBefore', createdBefore])
  return {
    ...(instance && { instanceId: instance.id }),
    ...whereItLies(vault, isCopy),
    ...(state && { states: state }),
    ...(tag && { tags: tag }),
    ...(minProof && { minProof }),
    ...(createdAfter && { createdAfter }),
    ...(createdBefore && { createdBefore }),
    ...(expiresBefore && { expiresBefore }),
  }
}

builder.queryField('recoveryPoints', (t) =>
  t.field({
    type: RecoveryPointConnection,
    description: 'Recovery points, newest first.',
    args: {
      filter: t.arg({ type: RecoveryPointsFilter, description: 'Which ones; all originals when left out.' }),
      ...pageArgs(t),
    },
    resolve: async (_root, { filter, ...args }, { database }) => ({
      page: await pageRecoveryPoints(database, { filter: filterOf(filter), page: pageRequest(RecoveryPoint, args) }),
      count: () => countRecoveryPoints(database, filterOf(filter)),
    }),
  }),
)
