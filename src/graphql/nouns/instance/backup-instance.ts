import { BackupAlreadyRunning, backUpNow } from '../../../instance/back-up-now.ts'
import {
  AlreadyProtected,
  configureProtection,
  PlaceHeldBySoftDeleted,
} from '../../../instance/configure-protection.ts'
import { allowedOperations, OperationNotAllowed } from '../../../instance/states.ts'
import { validateForBackup } from '../../../instance/validate-for-backup.ts'
import { InvalidInput, NameTaken, NotFound } from '../../../refusal.ts'
import { ServerWithoutCredentials } from '../../../server/server.ts'
import { builder } from '../../schema/builder.ts'
import { mutation } from '../../schema/mutation.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import {
  BackupInstance,
  BackupPolicy,
  idOf,
  Job,
  JobConnection,
  PostgresServer,
  RecoveryPoint,
  RecoveryPointConnection,
  Vault,
} from '../declared.ts'
import { InstanceOperation, ProtectionState, RetentionTag } from '../enums.ts'
import { asked, none, sinceArgument, whereItLies } from '../fields.ts'
import { holdingsOf, jobCountOf, jobsOf, lastBackupOf, latestPointOf, pointCountOf, pointsOf } from '../loaded.ts'

const OwnRecoveryPointsFilter = builder.inputType('OwnRecoveryPointFilter', {
  description: 'Which recovery points of a backup instance: those that everything given holds for.',
  fields: (t) => ({
    vault: t.globalID({ for: Vault, description: 'In the vault with this id, second copies too.' }),
    isCopy: t.boolean({
      description:
        'Second copies alone, or originals alone; null for both. When it is left out: both where a vault is named, else originals alone.',
    }),
  }),
})

BackupInstance.implement({
  description: 'One server protected in one vault under one policy: the thing with a lifecycle.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the backup instance; no other one has it.' }),
    state: t.expose('state', { type: ProtectionState, description: 'Where it stands in its life.' }),
    stateSince: t.expose('stateSince', { type: 'DateTime', description: 'When it came into that state.' }),
    allowedOperations: t.field({
      type: [InstanceOperation],
      description: 'What can be done to it in that state; everything else is refused.',
      resolve: ({ state }) => allowedOperations(state),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When protection was first configured.' }),
    server: t.field({
      type: PostgresServer,
      description: 'The server that it protects.',
      resolve: ({ serverId }) => serverId,
    }),
    vault: t.field({
      type: Vault,
      description: 'The vault that keeps its recovery points.',
      resolve: ({ vaultId }) => vaultId,
    }),
    policy: t.field({
      type: BackupPolicy,
      description: 'The policy that its next recovery points fall under.',
      resolve: ({ policyId }) => policyId,
    }),
    latestRecoveryPoint: t.field({
      type: RecoveryPoint,
      nullable: true,
      description: 'The recovery point made last, whatever its proof, second copies apart; null before the first.',
      resolve: ({ id }, _args, context) => latestPointOf(context, id, undefined),
    }),
    lastBackup: t.field({
      type: Job,
      nullable: true,
      description: 'The backup job created last, however it stands; null before the first.',
      resolve: ({ id }, _args, context) => lastBackupOf(context, id, undefined),
    }),
    recoveryPoints: t.field({
      type: RecoveryPointConnection,
      description: 'Its recovery points, newest first; without a filter the originals alone.',
      args: {
        filter: t.arg({ type: OwnRecoveryPointsFilter, description: 'Which ones; the originals when left out.' }),
        ...pageArgs(t),
      },
      resolve: async ({ id }, { filter: given, ...args }, context) => {
        const filter = whereItLies(given?.vault, given?.isCopy)
        return {
          page: (await pointsOf(context, id, { filter, page: pageRequest(RecoveryPoint, args) })) ?? none,
          count: async () => (await pointCountOf(context, id, filter)) ?? 0,
        }
      },
    }),
    jobs: t.field({
      type: JobConnection,
      description: 'Its jobs of the last days, newest first.',
      args: {
        since: t.arg({
          type: 'Duration',
          defaultValue: 'P7D',
          description: 'How far back to look, in whole units; null looks back to the first.',
        }),
        ...pageArgs(t),
      },
      resolve: async ({ id }, { since, ...args }, context) => {
        const looked = { since: sinceArgument(since, context) }
        return {
          page: (await jobsOf(context, id, { ...looked, page: pageRequest(Job, args) })) ?? none,
          count: async () => (await jobCountOf(context, id, looked)) ?? 0,
        }
      },
    }),
    storedBytes: t.field({
      type: 'ByteCount',
      description: 'How much the artifacts of its recovery points take in its vault, as stored; without second copies.',
      resolve: async ({ id }, _args, context) => (await holdingsOf(context, id, 'instance'))?.storedBytes ?? 0,
    }),
    copiedBytes: t.field({
      type: 'ByteCount',
      description: 'How much the second copies of its recovery points take in other vaults, as stored.',
      resolve: async ({ id }, _args, context) => (await holdingsOf(context, id, 'instance'))?.copiedBytes ?? 0,
    }),
    sourceBytes: t.field({
      type: 'ByteCount',
      nullable: true,
      description: "The size of the server's databases at the latest recovery point; null before the first.",
      resolve: async ({ id }, _args, context) => (await latestPointOf(context, id, undefined))?.sourceBytes,
    }),
  }),
})

mutation('configureProtection', {
  description:
    'Begins to protect a server in a vault: the backup instance is there at once, and the job checks server and vault.',
  input: (t) => ({
    server: t.globalID({ required: true, description: 'The id of the server to protect.' }),
    vault: t.globalID({ required: true, description: 'The id of the vault to keep its recovery points in.' }),
    policy: t.globalID({ description: 'The id of the policy to follow; the built-in one when left out.' }),
    name: t.string({
      description: "A name that no other backup instance has; made of the server's and the vault's when left out.",
    }),
  }),
  payload: {
    backupInstance: { type: BackupInstance, description: 'The new backup instance.' },
    job: { type: Job, description: 'The job that checks the server and the vault.' },
  },
  refusals: [InvalidInput, NameTaken, NotFound, ServerWithoutCredentials, AlreadyProtected, PlaceHeldBySoftDeleted],
  resolve: async ({ server, vault, policy, name }, context) => {
    const { instance, job } = await configureProtection(context.database, {
      serverId: idOf('PostgresServer', server),
      vaultId: idOf('Vault', vault),
      policyId: policy ? idOf('BackupPolicy', policy) : null,
      name: name ?? null,
      ...asked(context),
    })
    return { backupInstance: instance, job }
  },
})

mutation('validateForBackup', {
  description:
    'Checks server and vault as configureProtection does and makes nothing: no backup instance, and no vault where its place is not set up yet. A server that is protected there is checked where it is now, as after updateServerAddress, and its backup instance stays as it is. What was found stands in the sub-tasks, the notes and the error of the job.',
  input: (t) => ({
    server: t.globalID({ required: true, description: 'The id of the server that might be protected, or is.' }),
    vault: t.globalID({ required: true, description: 'The id of the vault that might keep its recovery points.' }),
    policy: t.globalID({
      description: 'The id of the policy that it might follow; when left out its own, or the built-in one.',
    }),
  }),
  payload: {
    job: { type: Job, description: 'The job that checks; it is about no backup instance.' },
    backupInstance: {
      type: BackupInstance,
      nullable: true,
      description: 'The backup instance that protects the server in the vault already; null when there is none.',
    },
  },
  // AlreadyProtected is met no more: what was written for version 0.3 names it, and is valid still.
  refusals: [NotFound, ServerWithoutCredentials, AlreadyProtected, PlaceHeldBySoftDeleted],
  resolve: async ({ server, vault, policy }, context) => {
    const { job, instance } = await validateForBackup(context.database, {
      serverId: idOf('PostgresServer', server),
      vaultId: idOf('Vault', vault),
      policyId: policy ? idOf('BackupPolicy', policy) : null,
      ...asked(context),
    })
    return { job, backupInstance: instance }
  },
})

mutation('backUpNow', {
  description: 'Starts a backup on demand, which makes one recovery point.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: 'The id of the backup instance.' }),
    retentionTag: t.field({
      type: RetentionTag,
      description:
        "Which of the policy's retention rules decides how long the recovery point is kept; the default one when left out.",
    }),
  }),
  payload: { job: { type: Job, description: 'The job that makes the recovery point.' } },
  refusals: [InvalidInput, NotFound, OperationNotAllowed, ServerWithoutCredentials, BackupAlreadyRunning],
  resolve: async ({ backupInstance, retentionTag = null }, context) => {
    const instanceId = idOf('BackupInstance', backupInstance)
    return { job: await backUpNow(context.database, { instanceId, retentionTag, ...asked(context) }) }
  },
})
