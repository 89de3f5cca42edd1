import { InvalidInput, NotFound } from '../../refusal.ts'
import { backUpMetadata, MetadataBackupAlreadyRunning, VaultNotSetUp } from '../../vault/metadata/back-up.ts'
import { isMetadataBackupOverdue, switchMetadataBackup } from '../../vault/metadata/switch.ts'
import type { Vault as VaultRow } from '../../vault/vault.ts'
import { builder } from '../schema/builder.ts'
import { mutation } from '../schema/mutation.ts'
import { refusalType } from '../schema/refusals.ts'
import { idOf, Job, Vault } from './declared.ts'
import { asked } from './fields.ts'

const MetadataBackupFailure = builder.objectRef<{ at: Date; message: string }>('MetadataBackupFailure').implement({
  description: "A backup of Holdfast's own metadata that failed.",
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it failed.' }),
    message: t.exposeString('message', { description: 'Why, beginning with the code of the failure.' }),
  }),
})

const VaultMetadataBackup = builder.objectRef<VaultRow>('VaultMetadataBackup').implement({
  description:
    "How Holdfast's own metadata is backed up into a vault: with such a copy and the vault's recovery key the whole service comes back on another machine.",
  fields: (t) => ({
    isOn: t.exposeBoolean('keepsMetadata', {
      description: 'Whether it is done by itself, from the first protection in the vault on.',
    }),
    lastBackedUpAt: t.expose('metadataBackedUpAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The moment of the newest copy, which was read back; null while there is none.',
    }),
    storedBytes: t.expose('metadataStoredBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'The size of that copy in the vault; null while there is none.',
    }),
    lastFailure: t.field({
      type: MetadataBackupFailure,
      nullable: true,
      description: 'Why the last attempt failed; null when it succeeded or there was none.',
      resolve: ({ metadataFailedAt: at, metadataFailure: message }) => (at && message ? { at, message } : null),
    }),
    isOverdue: t.boolean({
      description:
        'Whether it is on and there has been no new copy for two intervals (HOLDFAST_METADATA_BACKUP_HOURS).',
      resolve: (vault, _args, { metadataBackupMs: everyMs, now }) =>
        isMetadataBackupOverdue(vault, { everyMs, now: now() }),
    }),
  }),
})

builder.objectField(Vault, 'metadataBackup', (t) =>
  t.field({
    type: VaultMetadataBackup,
    description: "How Holdfast's own metadata is backed up into it.",
    resolve: (vault) => vault,
  }),
)

refusalType(
  MetadataBackupAlreadyRunning,
  'A backup of the metadata into the vault is queued or running already.',
  (t) => ({
    runningJob: t.field({ type: Job, description: 'That job.', resolve: ({ runningJobId }) => runningJobId }),
  }),
)

refusalType(VaultNotSetUp, 'Nothing was ever written into the vault: its place is set up with the first protection.')

mutation('backUpMetadata', {
  description:
    "Starts a job that writes a copy of Holdfast's own metadata into a vault, sealed for the vault's key, also where that is not done by itself.",
  input: (t) => ({ vault: t.globalID({ required: true, description: 'The id of the vault.' }) }),
  payload: { job: { type: Job, description: 'The job that writes the copy.' } },
  refusals: [NotFound, VaultNotSetUp, MetadataBackupAlreadyRunning],
  resolve: async ({ vault }, context) => ({
    job: await backUpMetadata(context.database, { vaultId: idOf('Vault', vault), ...asked(context) }),
  }),
})

mutation('switchMetadataBackup', {
  description:
    'Decides whether Holdfast backs up its own metadata into a vault by itself. Copies that lie there stay where they are.',
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault.' }),
    isOn: t.boolean({ required: true, description: 'Whether it is to be done.' }),
    reason: t.string({ description: 'Why, for the audit log, in at most 2,000 characters.' }),
  }),
  payload: { vault: { type: Vault, description: 'The vault as it is now.' } },
  refusals: [InvalidInput, NotFound],
  resolve: async ({ vault, isOn, reason }, context) => ({
    vault: await switchMetadataBackup(context.database, {
      vaultId: idOf('Vault', vault),
      isOn,
      reason: reason ?? null,
      ...asked(context),
    }),
  }),
})
