import type { NewLocation } from '../../vault/location.ts'
import { builder } from '../schema/builder.ts'
import { S3BucketInput } from './vault-bucket.ts'

/** Where a vault lies, as the input of createVault and importVault. */
export const VaultLocation = builder.inputType('VaultLocationInput', {
  description: 'Where a vault keeps its bytes; exactly one kind of place.',
  isOneOf: true,
  fields: (t) => ({
    directory: t.string({
      description: "An absolute path on the worker's machine; it is made when it is not there.",
    }),
    s3: t.field({ type: S3BucketInput, description: 'A bucket of a store that speaks S3, or a folder in it.' }),
  }),
})

/** The place that an input names. Exactly one kind is given; the schema sees to it. */
export function locationOf({ directory, s3 }: typeof VaultLocation.$inferInput): NewLocation {
  if (!s3) return { kind: 'DIRECTORY', path: directory ?? '' }
  const { prefix = null, endpoint = null, pathStyle = null, ...bucket } = s3
  return { kind: 'S3', ...bucket, prefix, endpoint, pathStyle }
}
