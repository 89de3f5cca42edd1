import { NotFound } from '../../refusal.ts'
import type { VaultKey as VaultKeyRow } from '../../vault/key/find.ts'
import { KeyRotationRunning, rotateVaultKey } from '../../vault/key/rotate.ts'
import { builder } from '../schema/builder.ts'
import { mutation } from '../schema/mutation.ts'
import { refusalType } from '../schema/refusals.ts'
import { idOf, Job, Vault } from './declared.ts'
import { asked } from './fields.ts'
import { keysOfVault } from './loaded.ts'

const VaultKey = builder.objectRef<VaultKeyRow>('VaultKey').implement({
  description: 'A key pair of a vault, the present one or one that it had before; the secret half is never shown here.',
  fields: (t) => ({
    recipient: t.exposeString('recipient', { description: 'The age recipient, which is the public half.' }),
    isCurrent: t.exposeBoolean('isCurrent', {
      description: 'Whether it is the present key, which everything new is sealed for.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Since when the vault has it.' }),
    retiredAt: t.expose('retiredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when nothing new is sealed for it; null for the present key.',
    }),
    recoveryPointCount: t.exposeInt('recoveryPointCount', {
      description:
        'How many recovery points have artifacts that are sealed for it. A former key is kept until there is none, and the present recovery key opens those as well.',
    }),
  }),
})

builder.objectFields(Vault, (t) => ({
  keys: t.field({
    type: [VaultKey],
    description: 'Its present key, and after it those that it had before and that something is still sealed for.',
    resolve: async (vault, _args, context) => (await keysOfVault(context, vault.id, undefined)) ?? [],
  }),
}))

refusalType(KeyRotationRunning, "The vault's key is being rotated already.", (t) => ({
  runningJob: t.field({ type: Job, description: 'The job that does it.', resolve: ({ runningJobId }) => runningJobId }),
}))

mutation('rotateVaultKey', {
  description:
    'Gives a vault a new key pair, by a job: new recovery points are sealed for the new key, and what lies there already is made openable by it. The new recovery key has to be exported anew; the former one goes on opening what was sealed for it, so that whoever got hold of it still reads older points. After a rotation that failed, this goes on with that one.',
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault.' }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether only to answer what would be done, and to change nothing.',
    }),
  }),
  payload: {
    vault: { type: Vault, description: 'The vault, which has its present key until the job has changed it.' },
    job: { type: Job, nullable: true, description: 'The job that changes the key; null on a dry run.' },
    isContinued: {
      type: 'Boolean',
      description: 'Whether a rotation that failed is gone on with, so that no further key is made.',
    },
    pointsToRewrap: {
      type: 'Int',
      description: 'How many recovery points the vault has, whose manifests the new key is wrapped around.',
    },
  },
  refusals: [NotFound, KeyRotationRunning],
  resolve: async ({ vault, dryRun }, context) => {
    const rotation = await rotateVaultKey(context.database, {
      vaultId: idOf('Vault', vault),
      dryRun,
      secrets: context.secrets,
      ...asked(context),
    })
    return { ...rotation, job: dryRun ? null : rotation.job }
  },
})
