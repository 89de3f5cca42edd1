/** A bucket of an S3-compatible store, or a folder in it, and how to sign in to it. */
export interface S3Location {
  kind: 'S3'
  bucket: string
  /** A folder ending in "/" that all keys begin with, or "". */
  prefix: string
  /** Where the store is; null for Amazon's own. */
  endpoint: string | null
  region: string
  /** Whether the bucket is named in the path of requests, not in the host name. */
  pathStyle: boolean
  accessKeyId: string
  secretAccessKey: string
}

/** How long a store may keep one waiting, in ms, and how often a request is tried. */
export interface S3Patience {
  connectMs: number
  /** Without a byte going either way. */
  idleMs: number
  attempts: number
}

export const usualPatience: S3Patience = { connectMs: 10_000, idleMs: 30_000, attempts: 4 }

/** Where a bucket is, in words for an operator; holds no secret. */
export function describeBucket({ bucket, prefix, endpoint, region }: S3Location): string {
  const host = endpoint === null ? `Amazon S3 ${region}` : new URL(endpoint).host
  return `bucket ${bucket}${prefix === '' ? '' : `/${prefix.slice(0, -1)}`} at ${host}`
}
