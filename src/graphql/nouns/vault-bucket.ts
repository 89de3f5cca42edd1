import { InvalidInput, NotFound } from '../../refusal.ts'
import { updateVaultCredentials } from '../../vault/update-credentials.ts'
import type { Vault as VaultRow } from '../../vault/vault.ts'
import { builder } from '../schema/builder.ts'
import { mutation } from '../schema/mutation.ts'
import { idOf, Vault } from './declared.ts'
import { asked } from './fields.ts'

type Bucket = Extract<VaultRow['location'], { kind: 'S3' }>

/** A bucket, of a vault or of a storage account. */
export const S3Bucket = builder.objectRef<Bucket>('S3Bucket').implement({
  description: 'A bucket of a store that speaks S3, or a folder in it. Its secret access key is never shown.',
  fields: (t) => ({
    bucket: t.exposeString('bucket', { description: 'The name of the bucket.' }),
    prefix: t.string({
      nullable: true,
      description: 'The folder in the bucket, ending in "/"; null when it is the whole bucket.',
      resolve: ({ prefix }) => (prefix === '' ? null : prefix),
    }),
    endpoint: t.exposeString('endpoint', {
      nullable: true,
      description: "The address of the store; null for Amazon's own.",
    }),
    region: t.exposeString('region', { description: 'The region that requests are signed for.' }),
    pathStyle: t.exposeBoolean('pathStyle', {
      description: 'Whether requests name the bucket in their path rather than in the host name.',
    }),
    accessKeyId: t.exposeString('accessKeyId', { description: 'The id of the access key that Holdfast signs with.' }),
    secretSetAt: t.field({
      type: 'DateTime',
      description: 'When the access key was last set; its secret is never shown.',
      resolve: ({ secretSetAt }) => new Date(secretSetAt),
    }),
  }),
})

const VaultCapabilities = builder.objectRef<NonNullable<VaultRow['capabilities']>>('VaultCapabilities').implement({
  description: "What a vault's storage was seen to be able to do, when protection was last configured with it.",
  fields: (t) => ({
    conditionalCreate: t.exposeBoolean('conditionalCreate', {
      description:
        'Whether the storage itself lets only the first of two writers of one file succeed; if not, Holdfast looks before it writes, and each attempt of a backup writes to a folder of its own.',
    }),
    largestObjectBytes: t.expose('largestObjectBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'The largest archive of one database that it can keep; null where only its space sets an end.',
    }),
  }),
})

builder.objectFields(Vault, (t) => ({
  s3: t.field({
    type: S3Bucket,
    nullable: true,
    description: 'The bucket that it keeps its bytes in; null for other kinds of storage.',
    resolve: ({ location }) => (location.kind === 'S3' ? location : null),
  }),
  capabilities: t.expose('capabilities', {
    type: VaultCapabilities,
    nullable: true,
    description: 'What its storage can do; null until protection has been configured with it.',
  }),
}))

/** A bucket as the input of a location. */
export const S3BucketInput = builder.inputType('S3BucketInput', {
  description: 'A bucket of a store that speaks S3, and the access key to it. The bucket has to be there.',
  fields: (t) => ({
    bucket: t.string({ required: true, description: 'The name of the bucket, without address and path.' }),
    prefix: t.string({
      description: 'A folder in the bucket, such as "holdfast/main"; the whole bucket when left out.',
    }),
    endpoint: t.string({
      description:
        'The address of the store, such as "https://s3.example.com"; plain http only in a private network. Amazon S3 when left out.',
    }),
    region: t.string({ required: true, description: 'The region of the bucket; many stores take "us-east-1".' }),
    pathStyle: t.boolean({
      description:
        'Whether to name the bucket in the path of requests; when left out, true with an endpoint and false for Amazon S3.',
    }),
    accessKeyId: t.string({
      required: true,
      description: 'The id of an access key that may list, read, write and delete there.',
    }),
    secretAccessKey: t.string({ required: true, description: 'Its secret; kept sealed and never shown.' }),
  }),
})

mutation('updateVaultCredentials', {
  description: 'Replaces the access key of a vault in a bucket; jobs that start from now on use it.',
  input: (t) => ({
    vault: t.globalID({ required: true, description: 'The id of the vault.' }),
    accessKeyId: t.string({ required: true, description: 'The id of the new access key.' }),
    secretAccessKey: t.string({ required: true, description: 'Its secret; kept sealed and never shown.' }),
  }),
  payload: { vault: { type: Vault, description: 'The vault with its new access key.' } },
  refusals: [InvalidInput, NotFound],
  resolve: async ({ vault, accessKeyId, secretAccessKey }, context) => ({
    vault: await updateVaultCredentials(context.database, {
      vaultId: idOf('Vault', vault),
      accessKeyId,
      secretAccessKey,
      secrets: context.secrets,
      ...asked(context),
    }),
  }),
})
