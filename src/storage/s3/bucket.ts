import { createHash } from 'node:crypto'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client } from '@aws-sdk/client-s3'
import { s3Error } from './error.ts'
import { describeBucket, type S3Location, type S3Patience } from './location.ts'

/** What all operations on a bucket work with. */
export interface Bucket {
  name: string
  prefix: string
  /** Where it is, in words for an operator. */
  description: string
  client: S3Client
  patience: S3Patience
  /** Whether objects are created on the condition that they are not there; false once the store has refused to. */
  isConditional: boolean
  /** The key in the bucket of a key in the vault. */
  objectKey: (key: string) => string
  /** What went wrong, said without anything secret; the reason of the abort where the signal is why. */
  errorOf: (subject: string, cause: unknown, signal?: AbortSignal) => Error
  /** Waits for a request; what fails it becomes a StorageError that names `subject`, or is the reason of the abort. */
  guarded: <T>(subject: string, request: Promise<T>, signal?: AbortSignal) => Promise<T>
}

/** A bucket to work on; nothing is sent yet. Redirects are never followed, and what the environment says of AWS is passed over. */
export function openBucket(location: S3Location, patience: S3Patience): Bucket {
  const { bucket: name, prefix, endpoint, region, pathStyle, accessKeyId, secretAccessKey } = location
  const description = describeBucket(location)
  const sockets = { keepAlive: true, maxSockets: 8, maxFreeSockets: 4, timeout: patience.idleMs }
  const client = new S3Client({
    ...(endpoint !== null && { endpoint }),
    region,
    forcePathStyle: pathStyle,
    credentials: { accessKeyId, secretAccessKey },
    followRegionRedirects: false,
    ignoreConfiguredEndpointUrls: true,
    disableS3ExpressSessionAuth: true,
    useArnRegion: false,
    retryMode: 'standard',
    maxAttempts: patience.attempts,
    // Every body is digested here, with SHA-256, and its digest is signed.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: patience.connectMs,
      socketTimeout: patience.idleMs,
      httpAgent: new HttpAgent(sockets),
      httpsAgent: new HttpsAgent(sockets),
    },
  })
  signDigests(client)
  const errorOf: Bucket['errorOf'] = (subject, cause, signal) =>
    s3Error(cause, { subject, place: description, secret: secretAccessKey, signal })
  return {
    name,
    prefix,
    description,
    client,
    patience,
    isConditional: true,
    objectKey: (key) => prefix + key,
    errorOf,
    guarded: async (subject, request, signal) => {
      try {
        return await request
      } catch (error) {
        throw errorOf(subject, error, signal)
      }
    },
  }
}

/** Signs the digest that a part was given while it was filled, and gives lists of keys the digest that every store knows. */
function signDigests(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      // What the SDK passes on at this step is the HTTP request.
      const { headers, body } = args.request as { headers: Record<string, string>; body: unknown }
      if ('ChecksumSHA256' in args.input && typeof args.input.ChecksumSHA256 === 'string') {
        headers['x-amz-content-sha256'] = Buffer.from(args.input.ChecksumSHA256, 'base64').toString('hex')
      }
      if ('Delete' in args.input && typeof body === 'string') {
        for (const name of Object.keys(headers)) if (/^x-amz-(sdk-)?checksum-/i.test(name)) delete headers[name]
        headers['content-md5'] = createHash('md5').update(body).digest('base64')
      }
      return next(args)
    },
    { step: 'build', priority: 'low', name: 'signDigests' },
  )
}
