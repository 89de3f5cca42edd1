import { InvalidInput, NameTaken, NotFound } from '../../refusal.ts'
import { LocationTakenByStorageAccount } from '../../storage-account/storage-account.ts'
import { ImportAlreadyRunning, importVault } from '../../vault/import/import-vault.ts'
import { rebuildCatalogue } from '../../vault/import/rebuild-catalogue.ts'
import {
  importReportOf,
  type ImportReport as Report,
  type UnreadableFolder as Unreadable,
} from '../../vault/import/request.ts'
import { LocationTaken } from '../../vault/vault.ts'
import { builder } from '../schema/builder.ts'
import { mutation } from '../schema/mutation.ts'
import { refusalType } from '../schema/refusals.ts'
import { idOf, Job, Vault } from './declared.ts'
import { asked } from './fields.ts'
import { locationOf, VaultLocation } from './vault-location.ts'

const UnreadableFolder = builder.objectRef<Unreadable>('UnreadableFolder').implement({
  description: 'A folder of a vault that holds no recovery point which could be made known; it was left as it is.',
  fields: (t) => ({
    folder: t.exposeString('folder', { description: 'Where it lies in the vault; of a stray file its own place.' }),
    reason: t.exposeString('reason', { description: 'What is wrong with it, in one sentence that names the file.' }),
  }),
})

const ImportReport = builder.objectRef<Report>('ImportReport').implement({
  description: 'What an import found in a vault, and what its last attempt has made known of that.',
  fields: (t) => ({
    vault: t.field({
      type: Vault,
      nullable: true,
      description: 'The vault; null where it is not in the catalogue, as after a dry run of one that was not known.',
      resolve: ({ vaultId }) => vaultId,
    }),
    vaultName: t.exposeString('vaultName', { description: 'What the vault is called, or in a dry run would be.' }),
    isDryRun: t.boolean({
      description: 'Whether nothing was made known: the numbers say then what would be.',
      resolve: ({ dryRun }) => dryRun,
    }),
    pointsImported: t.exposeInt('pointsImported', { description: 'How many recovery points were made known.' }),
    alreadyKnown: t.exposeInt('alreadyKnown', {
      description: 'How many recovery points of the vault the catalogue had already; they were left as they are.',
    }),
    pointsReadBack: t.exposeInt('pointsReadBack', {
      description:
        'How many recovery points were read back from the vault, byte by byte, and found to be as they were written.',
    }),
    pointsDamaged: t.exposeInt('pointsDamaged', {
      description: 'How many were found damaged when they were read back; they are SUSPECT.',
    }),
    instances: t.exposeStringList('instances', {
      description: 'The names of the backup instances that were added, in state PROTECTION_STOPPED.',
    }),
    servers: t.exposeStringList('servers', {
      description: 'The names of the servers that were added, without credentials: updateServerCredentials sets them.',
    }),
    unreadableCount: t.exposeInt('unreadableCount', {
      description: 'How many folders hold no recovery point that could be made known.',
    }),
    unreadable: t.expose('unreadable', {
      type: [UnreadableFolder],
      description:
        'Those folders, the first 1,000 of them. Nothing of them is removed; the vault counts them as orphans.',
    }),
  }),
})

builder.objectFields(Job, (t) => ({
  importReport: t.field({
    type: ImportReport,
    nullable: true,
    description: 'What an import found; null until it has completed, and for every other job.',
    resolve: (job) => importReportOf(job),
  }),
}))

refusalType(ImportAlreadyRunning, 'What the vault holds is being imported already.', (t) => ({
  runningJob: t.field({ type: Job, description: 'The job that does it.', resolve: ({ runningJobId }) => runningJobId }),
}))

const readBackField = {
  required: true,
  defaultValue: true,
  description:
    'Whether every recovery point is also read back from the vault, byte by byte, so that its proof is READ_BACK; WRITTEN otherwise, until a verification. They can be restored from before that: a restore compares every byte itself.',
} as const

const dryRunField = {
  required: true,
  defaultValue: false,
  description: 'Whether the job only looks: its report says what would be made known, and nothing is recorded.',
} as const

mutation('importVault', {
  description:
    "Makes a vault known that the catalogue does not have, from its place and its recovery key alone: the vault under its own id, its recovery points, and the backup instances they are of, as stopped. Their servers come without credentials, for a vault holds none. Second copies are known as such where their instance or their original is known elsewhere, whichever vault is imported first. The vault's own rules (immutability, soft delete, replica) and holds are not kept there: set them anew. Nothing in the vault is changed, and to run it again adds what is missing. Given the name and place of a vault that is known, with its present recovery key, it does what rebuildCatalogue does, and the catalogue takes over keys of rotations that it does not know of, as after a recovery from an older copy.",
  input: (t) => ({
    name: t.string({ required: true, description: 'A name of 1 to 200 characters that no other vault has.' }),
    location: t.field({ type: VaultLocation, required: true, description: 'Where the vault lies.' }),
    recoveryKey: t.string({
      required: true,
      description:
        "The vault's recovery key (AGE-SECRET-KEY-1…); kept sealed and never shown. A former one makes known what was sealed until it was rotated, and the job warns of that.",
    }),
    readBack: t.boolean(readBackField),
    dryRun: t.boolean(dryRunField),
  }),
  payload: {
    job: {
      type: Job,
      description: 'The job that imports it. Its report names the vault, which is there as soon as its key is proven.',
    },
  },
  refusals: [InvalidInput, NameTaken, LocationTaken, LocationTakenByStorageAccount, ImportAlreadyRunning],
  resolve: async ({ location, ...input }, context) => ({
    job: await importVault(context.database, {
      ...input,
      location: locationOf(location),
      secrets: context.secrets,
      ...asked(context),
    }),
  }),
})

mutation('rebuildCatalogue', {
  description:
    'Makes known again what a known vault holds and the catalogue does not have: recovery points, and the backup instances and servers that they need, as importVault does. What is known is left as it is, but for manifests that a rotation has wrapped another key around since.',
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault.' }),
    readBack: t.boolean(readBackField),
    dryRun: t.boolean(dryRunField),
  }),
  payload: { job: { type: Job, description: 'The job that looks through the vault.' } },
  refusals: [NotFound, ImportAlreadyRunning],
  resolve: async ({ vault, readBack, dryRun }, context) => ({
    job: await rebuildCatalogue(context.database, {
      vaultId: idOf('Vault', vault),
      readBack,
      dryRun,
      ...asked(context),
    }),
  }),
})
