import { createHash, randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** One answer of the store. */
export interface S3Answer {
  status: number
  headers?: Record<string, string>
  body?: string | Buffer
}

export interface S3Request {
  operation: string
  /** The key in the bucket; "" for the bucket itself. */
  key: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
  body: Buffer
}

export interface S3Object {
  bytes: Buffer
  sizeBytes: number
  etag: string
  metadata: Record<string, string>
}

export interface S3Upload {
  key: string
  metadata: Record<string, string>
  parts: Map<number, Omit<S3Object, 'metadata'> & { sha256: string | undefined }>
}

/** How the store takes "If-None-Match: *": keeps to it, overlooks it, or says that it does not know it. */
export type Conditions = 'KEPT' | 'IGNORED' | 'REFUSED'

export interface S3Store {
  objects: Map<string, S3Object>
  uploads: Map<string, S3Upload>
  /** How many entries a page of any list has at most. */
  pageSize: number
  conditions: Conditions
  /** Whether bytes are kept, or only their number. */
  keepsBytes: boolean
}

/** What S3 answers to a request that is properly signed; changes the store. */
export function perform(store: S3Store, request: S3Request): S3Answer {
  const { objects, uploads } = store
  const { key, query, headers, body } = request
  const object = objects.get(key)
  const uploadId = query.get('uploadId') ?? ''
  const upload = uploads.get(uploadId)
  switch (request.operation) {
    case 'HeadBucket':
      return { status: 200 }
    case 'ListObjectsV2':
      return listObjects(store, query)
    case 'ListMultipartUploads':
      return listUploads(store, query)
    case 'DeleteObjects':
      return deleteObjects(store, request)
    case 'HeadObject':
      return object ? { status: 200, headers: describe(object) } : { status: 404 }
    case 'GetObject':
      return object ? getObject(object, headers) : failed(404, 'NoSuchKey')
    case 'DeleteObject':
      objects.delete(key)
      return { status: 204 }
    case 'PutObject': {
      const refused = conditionProblem(store, request) ?? checksumProblem(request)
      if (refused) return refused
      const made = { ...content(store, body), metadata: metadataOf(headers) }
      objects.set(key, made)
      return { status: 200, headers: { etag: made.etag } }
    }
    case 'CreateMultipartUpload': {
      const id = randomUUID()
      uploads.set(id, { key, metadata: metadataOf(headers), parts: new Map() })
      return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`)
    }
  }
  if (!upload || upload.key !== key) return failed(404, 'NoSuchUpload')
  switch (request.operation) {
    case 'UploadPart': {
      const refused = checksumProblem(request)
      if (refused) return refused
      const sha256 = headers['x-amz-checksum-sha256']
      const part = { ...content(store, body), sha256: sha256 === undefined ? undefined : String(sha256) }
      upload.parts.set(Number(query.get('partNumber')), part)
      return { status: 200, headers: { etag: part.etag, ...(part.sha256 && { 'x-amz-checksum-sha256': part.sha256 }) } }
    }
    case 'ListParts':
      return xml('<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>')
    case 'AbortMultipartUpload':
      uploads.delete(uploadId)
      return { status: 204 }
    default:
      return completeUpload(store, request, { upload, uploadId })
  }
}

/** An error as S3 tells it. */
export function failed(status: number, code: string): S3Answer {
  return { ...xml(`<Error><Code>${code}</Code><Message>${code} was told to happen</Message></Error>`), status }
}

function completeUpload(
  store: S3Store,
  request: S3Request,
  { upload, uploadId }: { upload: S3Upload; uploadId: string },
): S3Answer {
  const refused = conditionProblem(store, request)
  if (refused) return refused
  const asked = [...request.body.toString().matchAll(/<Part>.*?<\/Part>/gs)].map(([part]) => ({
    number: Number(textOf(part, 'PartNumber')),
    etag: textOf(part, 'ETag'),
    sha256: textOf(part, 'ChecksumSHA256'),
  }))
  const parts = asked.map(({ number }) => upload.parts.get(number))
  const isRight = asked.every(({ number, etag, sha256 }, index) => {
    const part = upload.parts.get(number)
    const isLarge = index === asked.length - 1 || (part?.sizeBytes ?? 0) >= 5 * 1024 * 1024
    return part && isLarge && part.etag === etag && part.sha256 === sha256 && number === index + 1
  })
  if (!isRight || asked.length === 0) return failed(400, 'InvalidPart')
  const found = parts.flatMap((part) => part ?? [])
  store.objects.set(upload.key, {
    bytes: Buffer.concat(found.map(({ bytes }) => bytes)),
    sizeBytes: found.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    etag: `"${randomUUID()}-${found.length}"`,
    metadata: upload.metadata,
  })
  store.uploads.delete(uploadId)
  return xml('<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>')
}

function listObjects({ objects, pageSize }: S3Store, query: URLSearchParams): S3Answer {
  const prefix = query.get('prefix') ?? ''
  const after = Buffer.from(query.get('continuation-token') ?? '', 'base64url').toString()
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
  const page = keys.slice(0, pageSize)
  const isTruncated = keys.length > page.length
  const token = Buffer.from(page.at(-1) ?? '').toString('base64url')
  const entries = page.map(
    (key) => `<Contents><Key>${escaped(key)}</Key><Size>${objects.get(key)?.sizeBytes}</Size></Contents>`,
  )
  const next = isTruncated ? `<NextContinuationToken>${token}</NextContinuationToken>` : ''
  return xml(
    `<ListBucketResult><KeyCount>${page.length}</KeyCount><IsTruncated>${isTruncated}</IsTruncated>${next}${entries.join('')}</ListBucketResult>`,
  )
}

function listUploads({ uploads, pageSize }: S3Store, query: URLSearchParams): S3Answer {
  const prefix = query.get('prefix') ?? ''
  const after = `${query.get('key-marker') ?? ''}\n${query.get('upload-id-marker') ?? ''}`
  const all = [...uploads]
    .map(([id, { key }]) => ({ id, key, position: `${key}\n${id}` }))
    .filter(({ key, position }) => key.startsWith(prefix) && (after === '\n' || position > after))
    .sort((one, other) => (one.position < other.position ? -1 : 1))
  const page = all.slice(0, pageSize)
  const last = page.at(-1)
  const next = `<NextKeyMarker>${last?.key}</NextKeyMarker><NextUploadIdMarker>${last?.id}</NextUploadIdMarker>`
  const entries = page.map(({ id, key }) => `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId></Upload>`)
  const isTruncated = all.length > page.length
  return xml(
    `<ListMultipartUploadsResult><IsTruncated>${isTruncated}</IsTruncated>${isTruncated ? next : ''}${entries.join('')}</ListMultipartUploadsResult>`,
  )
}

function deleteObjects({ objects }: S3Store, { headers, body }: S3Request): S3Answer {
  const digest = createHash('md5').update(body).digest('base64')
  if (headers['content-md5'] !== digest) return failed(400, 'InvalidDigest')
  const keys = [...body.toString().matchAll(/<Key>(.*?)<\/Key>/g)].map(([, key = '']) => unescaped(key))
  for (const key of keys) objects.delete(key)
  const deleted = keys.map((key) => `<Deleted><Key>${escaped(key)}</Key></Deleted>`)
  return xml(`<DeleteResult>${deleted.join('')}</DeleteResult>`)
}

function getObject(object: S3Object, headers: IncomingHttpHeaders): S3Answer {
  if (headers['if-match'] !== undefined && headers['if-match'] !== object.etag) return failed(412, 'PreconditionFailed')
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? []
  if (from === undefined) return { status: 200, headers: describe(object), body: object.bytes }
  const start = Number(from)
  const end = Math.min(object.sizeBytes, to ? Number(to) + 1 : Infinity)
  if (start >= object.sizeBytes) return failed(416, 'InvalidRange')
  return {
    status: 206,
    headers: {
      ...describe(object),
      'content-length': String(end - start),
      'content-range': `bytes ${start}-${end - 1}/${object.sizeBytes}`,
    },
    body: object.bytes.subarray(start, end),
  }
}

function conditionProblem({ objects, conditions }: S3Store, { key, headers }: S3Request): S3Answer | undefined {
  if (headers['if-none-match'] === undefined || conditions === 'IGNORED') return undefined
  if (conditions === 'REFUSED') return failed(501, 'NotImplemented')
  return objects.has(key) ? failed(412, 'PreconditionFailed') : undefined
}

function checksumProblem({ headers, body }: S3Request): S3Answer | undefined {
  const expected = headers['x-amz-checksum-sha256']
  if (expected === undefined) return undefined
  return createHash('sha256').update(body).digest('base64') === expected ? undefined : failed(400, 'BadDigest')
}

function content({ keepsBytes }: S3Store, body: Buffer): { bytes: Buffer; sizeBytes: number; etag: string } {
  return { bytes: keepsBytes ? body : Buffer.alloc(0), sizeBytes: body.length, etag: `"${randomUUID()}"` }
}

function describe({ sizeBytes, etag, metadata }: S3Object): Record<string, string> {
  const named = Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])
  return { etag, 'content-length': String(sizeBytes), ...Object.fromEntries(named) }
}

function metadataOf(headers: IncomingHttpHeaders): Record<string, string> {
  const named = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'))
  return Object.fromEntries(named.map(([name, value]) => [name.slice('x-amz-meta-'.length), String(value)]))
}

function xml(text: string): S3Answer {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: `<?xml version="1.0"?>\n${text}` }
}

function textOf(text: string, name: string): string | undefined {
  const found = new RegExp(`<${name}>(.*?)</${name}>`).exec(text)?.[1]
  return found === undefined ? undefined : unescaped(found)
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function unescaped(text: string): string {
  return text.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}
