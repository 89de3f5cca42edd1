import type { AskedRules } from '../../../policy/check-rules.ts'
import type { AskedProofRules } from '../../../policy/check-verification.ts'
import { createPolicy } from '../../../policy/create.ts'
import { deletePolicy, PolicyInUse, PolicyIsBuiltIn } from '../../../policy/delete.ts'
import { PolicyVersionChanged, revisePolicy } from '../../../policy/revise.ts'
import { InvalidInput, NameTaken, NotFound } from '../../../refusal.ts'
import { ForbiddenByImmutability } from '../../../vault/vault.ts'
import { encodeNodeId } from '../../schema/ids.ts'
import { mutation } from '../../schema/mutation.ts'
import { refusalType } from '../../schema/refusals.ts'
import { BackupInstance, BackupPolicy, idOf } from '../declared.ts'
import { asked } from '../fields.ts'
import { AnomalyGateInput, askedProofRules, VerificationInput } from './policy-proof.ts'
import { RetentionRuleInput } from './policy-rules.ts'
import { askedSchedule, ScheduleInput } from './policy-schedule.ts'

refusalType(PolicyVersionChanged, 'The policy was revised since the version that the caller looked at.', (t) => ({
  policy: t.field({ type: BackupPolicy, description: 'The policy as it is.', resolve: (refusal) => refusal.policyId }),
  currentVersion: t.exposeInt('currentVersion', { description: 'The version that it is at.' }),
}))

refusalType(PolicyInUse, 'Backup instances follow the policy; deleted ones that can be had back count too.', (t) => ({
  backupInstances: t.field({
    type: [BackupInstance],
    description: 'The first of them, at most 50.',
    resolve: (refusal) => [...refusal.instanceIds],
  }),
  instanceCount: t.exposeInt('instanceCount', { description: 'How many there are.' }),
}))

refusalType(PolicyIsBuiltIn, 'Holdfast made the policy itself, for where no other is named.', (t) => ({
  policy: t.field({ type: BackupPolicy, description: 'The policy.', resolve: (refusal) => refusal.policyId }),
}))

mutation('createPolicy', {
  description: 'Adds a policy: when backups start, and how long their recovery points are kept.',
  input: (t) => ({
    name: t.string({ required: true, description: 'A name of 1 to 200 characters that no other policy has.' }),
    timeZone: t.field({
      type: 'TimeZone',
      required: true,
      defaultValue: 'UTC',
      description: 'The zone whose clock and calendar the schedule and the periods of retention go by.',
    }),
    schedule: t.field({
      type: ScheduleInput,
      description: 'When backups start by themselves; on demand alone when left out.',
    }),
    defaultRetention: t.field({
      type: 'Duration',
      required: true,
      description:
        'How long recovery points are kept that fall under no other rule: whole units, from "P7D" (7 days) to "P10Y" (10 years) unless the service is set otherwise.',
    }),
    retentionRules: t.field({
      type: [RetentionRuleInput],
      required: true,
      defaultValue: [],
      description: 'How long the first successful backup of each day, week, month or year is kept.',
    }),
    verification: t.field({
      type: VerificationInput,
      description:
        'How far recovery points are shown to be good by themselves: all decoded within 30 days when left out, only read back when null.',
    }),
    anomalyGate: t.field({
      type: AnomalyGateInput,
      description:
        'When what a recovery point holds is suspicious: when it fell by more than half when left out, never when null.',
    }),
  }),
  payload: { policy: { type: BackupPolicy, description: 'The new policy.' } },
  refusals: [InvalidInput, NameTaken],
  resolve: async ({ schedule, verification, anomalyGate, ...input }, context) => ({
    policy: await createPolicy(context.database, {
      ...input,
      ...askedProofRules({ verification, anomalyGate }),
      schedule: schedule ? askedSchedule(schedule) : null,
      limits: context.retentionLimits,
      ...asked(context),
    }),
  }),
})

mutation('revisePolicy', {
  description:
    'Gives a policy new rules, as its next version, which all of its backup instances follow from now on; recovery points that are there keep their tag and their end.',
  input: (t) => ({
    policy: t.globalID({ required: true, description: 'The id of the policy.' }),
    expectedVersion: t.int({
      description: 'The version that the revision is made for: refused if the policy is at another; any when left out.',
    }),
    timeZone: t.field({ type: 'TimeZone', description: 'The new time zone; the same as before when left out.' }),
    schedule: t.field({
      type: ScheduleInput,
      description: 'The new schedule; the same as before when left out, and null for backups on demand alone.',
    }),
    defaultRetention: t.field({ type: 'Duration', description: 'The new default; the same as before when left out.' }),
    retentionRules: t.field({
      type: [RetentionRuleInput],
      description: 'All of the further rules; the same as before when left out, and none when null.',
    }),
    verification: t.field({
      type: VerificationInput,
      description:
        'How far recovery points are shown to be good by themselves; the same as before when left out, only read back when null.',
    }),
    anomalyGate: t.field({
      type: AnomalyGateInput,
      description: 'When what a recovery point holds is suspicious; the same as before when left out, never when null.',
    }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether to only answer what would happen, and change nothing.',
    }),
  }),
  payload: {
    policy: { type: BackupPolicy, description: 'The policy with its new rules; in a dry run, as it would be.' },
    instanceCount: { type: 'Int', description: 'How many backup instances follow it.' },
    shortenings: {
      type: ['String'],
      description:
        'What becomes shorter for recovery points made from now on, and which of their guards weaker, a sentence each.',
    },
  },
  refusals: [InvalidInput, NotFound, PolicyVersionChanged, ForbiddenByImmutability],
  resolve: async ({ policy, expectedVersion, dryRun, ...changes }, context) => {
    const policyId = idOf('BackupPolicy', policy)
    return revisePolicy(context.database, {
      policyId,
      expectedVersion: expectedVersion ?? null,
      changes: changesOf(changes),
      limits: context.retentionLimits,
      dryRun,
      ...asked(context),
    })
  },
})

mutation('deletePolicy', {
  description: 'Deletes a policy, with all of its versions, that no backup instance follows.',
  input: (t) => ({
    policy: t.globalID({ required: true, description: 'The id of the policy.' }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether to only answer what would happen, and change nothing.',
    }),
  }),
  payload: {
    deletedPolicyId: { type: 'ID', description: 'The id that the policy had.' },
    name: { type: 'String', description: 'The name that it had.' },
  },
  refusals: [NotFound, PolicyInUse, PolicyIsBuiltIn],
  resolve: async ({ policy, dryRun }, context) => {
    const policyId = idOf('BackupPolicy', policy)
    const deleted = await deletePolicy(context.database, { policyId, dryRun, ...asked(context) })
    return { deletedPolicyId: encodeNodeId('BackupPolicy', deleted.id), name: deleted.name }
  },
})

interface GivenChanges {
  timeZone?: string | null | undefined
  schedule?: typeof ScheduleInput.$inferInput | null | undefined
  defaultRetention?: string | null | undefined
  retentionRules?: AskedRules['retentionRules'] | null | undefined
  verification?: typeof VerificationInput.$inferInput | null | undefined
  anomalyGate?: typeof AnomalyGateInput.$inferInput | null | undefined
}

/** What is left out stays; null clears what can be cleared. */
function changesOf({
  timeZone,
  schedule,
  defaultRetention,
  retentionRules,
  ...proofRules
}: GivenChanges): Partial<AskedRules> & AskedProofRules {
  return {
    ...askedProofRules(proofRules),
    ...(timeZone !== undefined && { timeZone: needed('timeZone', timeZone) }),
    ...(schedule !== undefined && { schedule: schedule && askedSchedule(schedule) }),
    ...(defaultRetention !== undefined && { defaultRetention: needed('defaultRetention', defaultRetention) }),
    ...(retentionRules !== undefined && { retentionRules: retentionRules ?? [] }),
  }
}

function needed(field: string, value: string | null): string {
  if (value !== null) return value
  throw new InvalidInput(field, `A policy always has a value for ${field}: it cannot be null.`, [
    'Leave it out to keep the present one.',
  ])
}
