import { InvalidInput } from '../refusal.ts'

/** A bucket as an operator names it; the secret is open. */
export interface BucketInput {
  bucket: string
  /** A folder in it; null for the whole bucket. */
  prefix: string | null
  /** Null for Amazon's own store. */
  endpoint: string | null
  region: string
  /** Null: in the path when there is an endpoint, in the host name at Amazon's. */
  pathStyle: boolean | null
  accessKeyId: string
  secretAccessKey: string
}

/** The same, checked, in its one normal spelling. */
export interface CheckedBucket extends BucketInput {
  /** Ends in "/", or is "". */
  prefix: string
  pathStyle: boolean
}

const longestPrefix = 100

/**
 * Refuses what names no bucket that could be used; nothing is sent. No message repeats the secret. `within` is the path of
 * the input that it was given in, with a dot.
 */
export function checkBucket(input: BucketInput, within: string): CheckedBucket {
  const { bucket, region, accessKeyId, secretAccessKey } = input
  checkBucketName(`${within}bucket`, bucket)
  const endpoint = input.endpoint === null ? null : checkEndpoint(`${within}endpoint`, input.endpoint)
  const pathStyle = input.pathStyle ?? endpoint !== null
  if (!pathStyle && bucket.includes('.')) {
    throw new InvalidInput(
      `${within}pathStyle`,
      `The name ${bucket} holds a dot, so that it cannot be part of a host name with TLS.`,
      ['Set pathStyle to true.'],
    )
  }
  if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) {
    throw new InvalidInput(`${within}region`, 'A region has 1 to 64 letters, digits and hyphens.', [
      'Give the one that the store names, such as eu-central-1; many stores take us-east-1.',
    ])
  }
  checkAccessKey({ accessKeyId, secretAccessKey }, within)
  const prefix = checkPrefix(`${within}prefix`, input.prefix ?? '')
  return { bucket, prefix, endpoint, region, pathStyle, accessKeyId, secretAccessKey }
}

/** Refuses an access key that no store hands out. */
export function checkAccessKey(
  { accessKeyId, secretAccessKey }: Pick<BucketInput, 'accessKeyId' | 'secretAccessKey'>,
  within = '',
): void {
  if (!/^[!-~]{1,128}$/.test(accessKeyId) || /[/,]/.test(accessKeyId)) {
    throw new InvalidInput(
      `${within}accessKeyId`,
      'The id of an access key has 1 to 128 characters without spaces, "/" and ",".',
      ['Copy it from where the store shows it; it is often 20 letters and digits.'],
    )
  }
  if (!/^[!-~]{1,1000}$/.test(secretAccessKey)) {
    throw new InvalidInput(
      `${within}secretAccessKey`,
      'A secret access key has 1 to 1,000 characters without spaces.',
      ['Look for a space or line break that came along when it was copied.'],
    )
  }
}

function checkBucketName(field: string, bucket: string): void {
  const isName = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) && !bucket.includes('..')
  if (isName && !/^[0-9.]+$/.test(bucket)) return
  const shown = bucket.slice(0, 100).toWellFormed()
  throw new InvalidInput(field, `"${shown}" is not the name of a bucket.`, [
    'Give the name alone: 3 to 63 lower-case letters, digits, dots and hyphens, no address and no path.',
  ])
}

function checkPrefix(field: string, text: string): string {
  const prefix = text.replace(/\/$/, '')
  if (prefix === '') return ''
  const isFolder = prefix.split('/').every((part) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(part))
  if (isFolder && prefix.length < longestPrefix) return `${prefix}/`
  throw new InvalidInput(field, `"${text.slice(0, 100).toWellFormed()}" is not a folder that a vault can use.`, [
    `Give names of letters, digits, ".", "_" and "-" joined by "/", such as holdfast/main, ${longestPrefix - 1} characters at most.`,
  ])
}

function checkEndpoint(field: string, text: string): string {
  const isPlain = text.length <= 300 && text.isWellFormed() && !/[\s\p{Cc}]/u.test(text)
  const url = isPlain && URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:'
  if (!url || !isWeb || url.port === '0' || url.pathname !== '/' || /[?#]/.test(text)) {
    throw new InvalidInput(field, 'An endpoint is the address of a store alone: https, a host, perhaps a port.', [
      'Give one such as https://s3.example.com or https://minio.example.com:9000; leave it out for Amazon S3.',
    ])
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidInput(field, 'An endpoint holds neither a user nor a password.', [
      'Give them as accessKeyId and secretAccessKey.',
    ])
  }
  if (url.protocol === 'http:' && !isNearby(url.hostname)) {
    throw new InvalidInput(
      field,
      `Plain http to ${url.host} would let anyone on the way cut or change what is stored.`,
      ['Use https; plain http is taken for hosts of a private network alone.'],
    )
  }
  return url.origin
}

/** Whether a host is this machine or one of a private network, by its name or address alone. */
function isNearby(hostname: string): boolean {
  const address = /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)[\d.]+$/
  if (address.test(hostname) || /^\[(::1|f[cd][0-9a-f:]+)\]$/.test(hostname)) return true
  const isName = /[a-z]/.test(hostname) && !hostname.startsWith('[')
  return isName && (!hostname.includes('.') || /\.(local|localhost|internal|lan|home\.arpa)$/.test(hostname))
}
