import { ConfirmationMismatch, InvalidInput, NotFound } from '../../refusal.ts'
import { deleteVault, RecoveryKeyNotExported, VaultIsReplica, VaultNotEmpty } from '../../vault/delete.ts'
import { ImportAlreadyRunning } from '../../vault/import/import-vault.ts'
import { KeyRotationRunning } from '../../vault/key/rotate.ts'
import { type VaultRule as Rule, VaultLocked } from '../../vault/security.ts'
import { type SecurityChange, updateVaultSecurity } from '../../vault/update-security.ts'
import type { Vault as VaultRow } from '../../vault/vault.ts'
import { builder } from '../schema/builder.ts'
import { enumeration } from '../schema/enumeration.ts'
import { encodeNodeId } from '../schema/ids.ts'
import { mutation } from '../schema/mutation.ts'
import { refusalType } from '../schema/refusals.ts'
import { BackupInstance, idOf, Vault } from './declared.ts'
import { Immutability } from './enums.ts'
import { asked } from './fields.ts'
import { ScrubInput } from './vault-scrub.ts'

const VaultSoftDelete = builder.objectRef<number>('VaultSoftDelete').implement({
  description: 'Whether deleted backup instances of a vault can be had back, and for how long.',
  fields: (t) => ({
    isOn: t.boolean({ description: 'Whether they can be had back at all.', resolve: (days) => days > 0 }),
    retentionDays: t.int({
      description: 'For how many days after their deletion; 0 when soft delete is off.',
      resolve: (days) => days,
    }),
  }),
})

builder.objectFields(Vault, (t) => ({
  softDelete: t.field({
    type: VaultSoftDelete,
    description: 'Whether and how long backup instances that are deleted from now on can be had back.',
    resolve: ({ softDeleteDays }) => softDeleteDays,
  }),
  immutability: t.expose('immutability', {
    type: Immutability,
    description: 'Whether the ways to remove recovery points before their time are shut.',
  }),
  expiryShareLimitPercent: t.exposeInt('expiryShareLimitPercent', {
    description:
      'An expiry run that would remove a greater share of the recovery points of a backup instance, in percent, stops and asks for approveExpiry.',
  }),
  freeBytes: t.expose('freeBytes', {
    type: 'ByteCount',
    nullable: true,
    description:
      'How much space its storage had left when that was last looked at; null before that, or when it cannot tell.',
  }),
  spaceCheckedAt: t.expose('spaceCheckedAt', {
    type: 'DateTime',
    nullable: true,
    description: 'When the space of its storage was last looked at; null before that.',
  }),
}))

export const SoftDelete = builder.inputType('SoftDeleteInput', {
  description: 'Whether deleted backup instances of a vault can be had back, and for how long.',
  fields: (t) => ({
    retentionDays: t.int({
      required: true,
      description: 'For how many days after their deletion, 1 to 180; 0 turns soft delete off.',
    }),
  }),
})

const shownNames: Readonly<Record<SecurityChange['field'], string>> = {
  softDeleteDays: 'softDelete.retentionDays',
  immutability: 'immutability',
  expiryShareLimitPercent: 'expiryShareLimitPercent',
  scrubDays: 'scrub.periodDays',
}

const VaultSecurityChange = builder.objectRef<SecurityChange>('VaultSecurityChange').implement({
  description: 'One rule of a vault that was changed, or in a dry run would be.',
  fields: (t) => ({
    field: t.string({ description: 'The field of the input.', resolve: ({ field }) => shownNames[field] }),
    before: t.string({ description: 'What it was, as text.', resolve: ({ before }) => String(before) }),
    after: t.string({ description: 'What it is from now on, as text.', resolve: ({ after }) => String(after) }),
  }),
})

const VaultRule = enumeration<Rule>('VaultRule', 'What a locked vault holds to for ever.', {
  IMMUTABILITY_STAYS_LOCKED: 'Its immutability can never be taken back.',
  SOFT_DELETE_IS_NOT_SHORTENED: 'The retention of its soft delete can only be lengthened.',
  EXPIRY_SHARE_LIMIT_IS_NOT_RAISED: 'The share of recovery points that may expire at once can only be lowered.',
  SCRUB_IS_NOT_LOOSENED: 'The period within which all bytes are read again can only be shortened.',
})

refusalType(VaultLocked, 'The vault is locked for ever: what protects its data can only be made stronger.', (t) => ({
  vault: t.field({ type: Vault, description: 'The vault as it is.', resolve: ({ vaultId }) => vaultId }),
  rule: t.expose('rule', { type: VaultRule, description: 'What forbids the change.' }),
}))

refusalType(VaultNotEmpty, 'The vault still keeps something; only an empty one can be deleted.', (t) => ({
  instanceCount: t.int({
    description: 'How many backup instances it has, soft-deleted ones included.',
    resolve: ({ contents }) => contents.instanceCount,
  }),
  recoveryPointCount: t.int({
    description: 'How many recovery points it keeps.',
    resolve: ({ contents }) => contents.recoveryPointCount,
  }),
  orphanCount: t.int({
    description: 'How many folders with bytes in them it has that belong to no recovery point.',
    resolve: ({ contents }) => contents.orphanCount,
  }),
  backupInstances: t.field({
    type: [BackupInstance],
    description: 'Its backup instances, the first 50 by name.',
    resolve: ({ contents }) => contents.instanceIds,
  }),
}))

refusalType(VaultIsReplica, 'Other vaults have second copies of what they keep made in the vault.', (t) => ({
  vaults: t.field({
    type: [Vault],
    description: 'The vaults that name it as their replica.',
    resolve: ({ vaultIds }) => [...vaultIds],
  }),
}))

refusalType(
  RecoveryKeyNotExported,
  'Only this service has the key of the vault, which was set up: files that the catalogue does not know could be opened by nobody once it is forgotten.',
  (t) => ({
    vault: t.field({ type: Vault, description: 'The vault.', resolve: ({ vaultId }) => vaultId }),
  }),
)

mutation('updateVaultSecurity', {
  description:
    'Changes the rules that guard what a vault keeps; what is left out stays as it is. A changed retention of soft delete applies to later deletions only: what is deleted already keeps the date of its purge.',
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault.' }),
    softDelete: t.field({
      type: SoftDelete,
      description:
        'How long deleted backup instances can be had back; it cannot be turned off while the vault is immutable, and only lengthened while it is LOCKED.',
    }),
    immutability: t.field({
      type: Immutability,
      description:
        'DISABLED leads to UNLOCKED, and UNLOCKED to DISABLED or LOCKED; LOCKED can never be taken back and needs confirmName.',
    }),
    expiryShareLimitPercent: t.int({
      description:
        'The greatest share of the recovery points of a backup instance that one expiry run removes without asking, 1 to 100; only lowered while the vault is LOCKED. An expiry that waits for approveExpiry already goes on waiting for it.',
    }),
    scrub: t.field({
      type: ScrubInput,
      description: 'Within how many days all bytes are read again; only shortened while the vault is LOCKED.',
    }),
    confirmName: t.string({ description: 'The name of the vault, typed exactly; needed to set LOCKED.' }),
    reason: t.string({ description: 'Why, for the audit log, in at most 2,000 characters.' }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether only to answer what would be changed, and to change nothing.',
    }),
  }),
  payload: {
    vault: { type: Vault, description: 'The vault with its new rules, in a dry run with those that it would have.' },
    changes: { type: [VaultSecurityChange], description: 'What was changed, or would be; empty when nothing differs.' },
  },
  refusals: [InvalidInput, NotFound, ConfirmationMismatch, VaultLocked],
  resolve: ({ vault, softDelete, immutability, expiryShareLimitPercent, scrub, ...input }, context) => {
    refuseNulls({ softDelete, immutability, expiryShareLimitPercent, scrub })
    return updateVaultSecurity(context.database, {
      vaultId: idOf('Vault', vault),
      changes: {
        ...(softDelete && { softDeleteDays: softDelete.retentionDays }),
        ...(immutability && { immutability }),
        ...(expiryShareLimitPercent != null && { expiryShareLimitPercent }),
        ...(scrub && { scrubDays: scrub.periodDays }),
      },
      confirmName: input.confirmName ?? null,
      reason: input.reason ?? null,
      dryRun: input.dryRun,
      ...asked(context),
    })
  },
})

/** Each of these rules always has a value: null would clear what cannot be cleared. */
function refuseNulls(given: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(given)) {
    if (value === null) {
      throw new InvalidInput(field, `A vault always has a value for ${field}: it cannot be null.`, [
        'Leave it out to keep the present one.',
      ])
    }
  }
}

mutation('deleteVault', {
  description:
    'Forgets an empty vault and its key, which has to be exported before where the vault was ever set up. Its place is not touched: files that lie there stay, and a later vault needs an empty directory. Its jobs stay too.',
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault.' }),
    confirmName: t.string({ required: true, description: 'The name of the vault, typed exactly.' }),
    dryRun: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether only to answer whether it could be deleted, and to change nothing.',
    }),
  }),
  payload: {
    deletedVaultId: { type: 'ID', description: 'The id that the vault had, or in a dry run has.' },
    name: { type: 'String', description: 'The name that the vault had, or in a dry run has.' },
  },
  refusals: [
    NotFound,
    ConfirmationMismatch,
    VaultNotEmpty,
    VaultIsReplica,
    ImportAlreadyRunning,
    KeyRotationRunning,
    RecoveryKeyNotExported,
  ],
  resolve: async ({ vault, confirmName, dryRun }, context) => {
    const vaultId = idOf('Vault', vault)
    const { id, name }: VaultRow = await deleteVault(context.database, {
      vaultId,
      confirmName,
      dryRun,
      ...asked(context),
    })
    return { deletedVaultId: encodeNodeId('Vault', id), name }
  },
})
