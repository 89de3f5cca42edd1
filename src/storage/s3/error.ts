import { abortError } from '../abort.ts'
import { StorageError, type StorageErrorCode } from '../storage-error.ts'

/** What is known of where and why a request was sent. */
export interface ErrorContext {
  /** The object or place that it was about. */
  subject: string
  /** The bucket, in words for an operator. */
  place: string
  /** Blotted out, should the store ever repeat it. */
  secret: string
  signal?: AbortSignal | undefined
}

const names: Record<string, { code: StorageErrorCode; what: string }> = {
  NoSuchBucket: { code: 'STORAGE_UNREACHABLE', what: 'is not there: no bucket has that name' },
  NoSuchKey: { code: 'STORAGE_OBJECT_MISSING', what: 'does not hold it' },
  PreconditionFailed: { code: 'STORAGE_OBJECT_EXISTS', what: 'holds it already, and nothing is overwritten' },
  NoSuchUpload: { code: 'STORAGE_FAILED', what: 'has dropped what was sent so far' },
  InvalidObjectState: {
    code: 'STORAGE_FAILED',
    what: 'has moved it to an archive that it has to be fetched from first',
  },
  AuthorizationHeaderMalformed: { code: 'STORAGE_PERMISSION_DENIED', what: 'belongs to another region' },
  InvalidAccessKeyId: { code: 'STORAGE_PERMISSION_DENIED', what: 'does not know the access key' },
  SignatureDoesNotMatch: { code: 'STORAGE_PERMISSION_DENIED', what: 'does not accept the secret access key' },
  AccessDenied: { code: 'STORAGE_PERMISSION_DENIED', what: 'does not permit the access key to do this' },
  RequestTimeTooSkewed: { code: 'STORAGE_PERMISSION_DENIED', what: "finds this machine's clock wrong" },
  QuotaExceeded: { code: 'STORAGE_FULL', what: 'has reached its quota' },
  QuotaExceededException: { code: 'STORAGE_FULL', what: 'has reached its quota' },
  XMinioStorageFull: { code: 'STORAGE_FULL', what: 'has no space left' },
  InsufficientStorage: { code: 'STORAGE_FULL', what: 'has no space left' },
  SlowDown: { code: 'STORAGE_UNREACHABLE', what: 'asks to slow down, after several attempts' },
  InternalError: { code: 'STORAGE_FAILED', what: 'failed within, after several attempts' },
  TimeoutError: { code: 'STORAGE_UNREACHABLE', what: 'did not answer in time' },
}

const systemCodes =
  /^(ECONN|EHOST|ENET|ENOTFOUND|EAI_|EPIPE|ETIMEDOUT|EPROTO|ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED)/

/** Says what went wrong with a request in the storage's words, without anything secret; an abort becomes its reason. */
export function s3Error(error: unknown, { subject, place, secret, signal }: ErrorContext): Error {
  if (error instanceof StorageError) return error
  if (signal?.aborted) return abortError(signal)
  const { name, status, systemCode, text } = factsOf(error)
  const { code, what } = meaningOf({ name, status, systemCode })
  const facts = [name, status && `HTTP ${status}`, systemCode].filter(Boolean).join(', ')
  const said = text.replaceAll(secret, '…').replace(/\s+/g, ' ').trim().slice(0, 300)
  const about = subject === place ? '' : ` (${subject})`
  return new StorageError(code, subject, `The ${place} ${what}${about}: ${said || 'no reason given'} [${facts}].`)
}

/** The status that a store answered with; undefined when it did not answer. */
export function statusOf(error: unknown): number | undefined {
  return factsOf(error).status
}

/** The store's name for what went wrong, such as NoSuchUpload. */
export function nameOf(error: unknown): string {
  return factsOf(error).name
}

function meaningOf({ name, status = 0, systemCode }: { name: string; status: number | undefined; systemCode: string }) {
  const known = names[name]
  if (known) return known
  const meaning = (code: StorageErrorCode, what: string) => ({ code, what })
  if (status >= 300 && status < 400)
    return meaning(
      'STORAGE_UNREACHABLE',
      'sends requests on to another place, which is not followed: check region and endpoint',
    )
  if (status === 401 || status === 403) return meaning('STORAGE_PERMISSION_DENIED', 'does not permit this')
  if (status === 404) return meaning('STORAGE_OBJECT_MISSING', 'does not hold it')
  if (status === 412) return meaning('STORAGE_OBJECT_EXISTS', 'holds it already')
  if (status === 507) return meaning('STORAGE_FULL', 'has no space left')
  if (status === 429 || status === 503)
    return meaning('STORAGE_UNREACHABLE', 'is not available, after several attempts')
  if (systemCodes.test(systemCode)) return meaning('STORAGE_UNREACHABLE', 'cannot be reached')
  return meaning('STORAGE_FAILED', 'answered with an error')
}

function factsOf(error: unknown): { name: string; status: number | undefined; systemCode: string; text: string } {
  if (!(error instanceof Error)) return { name: 'Error', status: undefined, systemCode: '', text: String(error) }
  const status =
    '$metadata' in error &&
    typeof error.$metadata === 'object' &&
    error.$metadata !== null &&
    'httpStatusCode' in error.$metadata &&
    typeof error.$metadata.httpStatusCode === 'number'
      ? error.$metadata.httpStatusCode
      : undefined
  const systemCode = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return { name: error.name, status, systemCode, text: error.message }
}
