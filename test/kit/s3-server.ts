import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { S3Location } from '../../src/storage/s3/location.ts'
import { signatureProblem } from './s3-signature.ts'
import { failed, perform, type S3Answer, type S3Request, type S3Store } from './s3-store.ts'

/**
 * What goes wrong with a request:
 * `answer`: it is not carried out, and this is answered; `lost`: it is carried out, and the connection cut without an answer;
 * `cut`: the connection is cut in the middle of the request, or of the answer's body; `stalled`: the same, but it stays open;
 * `changed`: it is carried out, and the answer is changed on its way.
 */
export type Fault =
  | { kind: 'answer'; answer: S3Answer }
  | { kind: 'lost' | 'cut' | 'stalled' }
  | { kind: 'changed'; change: (answer: S3Answer) => S3Answer }

/** A store of one bucket that speaks enough of S3 over plain HTTP, checks signatures, and fails as it is told. */
export interface S3Server extends AsyncDisposable {
  store: S3Store
  endpoint: string
  /** How to reach it, with the right credentials. */
  location: (changes?: Partial<S3Location>) => S3Location
  /** Every operation that was asked for, in order. */
  asked: string[]
  /** Lets a fault befall the next so many requests of an operation, after passing some. */
  fail: (operation: string, fault: Fault, options?: { times?: number; passing?: number }) => void
  /** Keys of all that lies there, objects and unfinished uploads. */
  everything: () => string[]
}

export const secretAccessKey = 'Zq8+s3/cret-Never-Shown-0123456789abcdef'

export async function startS3Server({ bucket = 'backups' } = {}): Promise<S3Server> {
  const credentials = { accessKeyId: 'AKIDHOLDFAST', secretAccessKey, region: 'eu-test-1' }
  const store: S3Store = {
    objects: new Map(),
    uploads: new Map(),
    pageSize: 1000,
    conditions: 'KEPT',
    keepsBytes: true,
  }
  const asked: string[] = []
  const faults: { operation: string; fault: Fault; times: number; passing: number }[] = []
  const faultOf = (operation: string): Fault | undefined => {
    const found = faults.find((each) => each.operation === operation && each.times > 0)
    if (!found || found.passing-- > 0) return undefined
    found.times -= 1
    return found.fault
  }

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const parsed = parse(request)
    const { operation } = parsed
    asked.push(operation)
    const fault = faultOf(operation)
    if (fault?.kind === 'cut' && operation !== 'GetObject')
      return void request.once('data', () => request.socket.destroy())
    if (fault?.kind === 'stalled' && operation !== 'GetObject') return
    const body = await buffer(request)
    const answer = () => {
      const problem = signatureProblem(request, body, credentials)
      if (problem) return failed(problem === 'XAmzContentSHA256Mismatch' ? 400 : 403, problem)
      if (parsed.bucket !== bucket) return failed(404, 'NoSuchBucket')
      return perform(store, { ...parsed, headers: request.headers, body })
    }
    if (fault?.kind === 'answer') return send(request, response, fault.answer)
    const made = answer()
    if (fault?.kind === 'lost') return void request.socket.destroy()
    if (fault?.kind === 'cut' || fault?.kind === 'stalled') return sendHalf(request, response, made, fault.kind)
    send(request, response, fault?.kind === 'changed' ? fault.change(made) : made)
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => request.socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo
  const endpoint = `http://127.0.0.1:${port}`
  return {
    store,
    endpoint,
    asked,
    location: (changes) => ({ kind: 'S3', bucket, prefix: '', endpoint, pathStyle: true, ...credentials, ...changes }),
    fail: (operation, fault, { times = 1, passing = 0 } = {}) => void faults.push({ operation, fault, times, passing }),
    everything: () => [...store.objects.keys(), ...[...store.uploads.values()].map(({ key }) => `${key} (unfinished)`)],
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function send({ method }: IncomingMessage, response: ServerResponse, { status, headers = {}, body }: S3Answer): void {
  const length = headers['content-length'] ?? String(Buffer.byteLength(body ?? ''))
  response.writeHead(status, { ...headers, ...(status !== 204 && { 'content-length': length }) })
  response.end(method === 'HEAD' ? undefined : body)
}

function sendHalf(
  { socket }: IncomingMessage,
  response: ServerResponse,
  { status, headers, body = '' }: S3Answer,
  then: 'cut' | 'stalled',
): void {
  response.writeHead(status, headers)
  response.write(body.slice(0, body.length / 2), () => void (then === 'cut' && socket.destroy()))
}

function parse(request: IncomingMessage): Pick<S3Request, 'operation' | 'key' | 'query'> & { bucket: string } {
  const url = new URL(request.url ?? '', 'http://store')
  const [bucket = '', ...parts] = url.pathname.slice(1).split('/')
  const key = parts.map(decodeURIComponent).join('/')
  const query = url.searchParams
  const of = key === '' ? 'bucket' : query.has('uploadId') ? 'upload' : query.has('uploads') ? 'uploads' : 'object'
  const operations: Record<string, string> = {
    'HEAD bucket': 'HeadBucket',
    'GET bucket': query.has('uploads') ? 'ListMultipartUploads' : 'ListObjectsV2',
    'POST bucket': 'DeleteObjects',
    'PUT upload': 'UploadPart',
    'GET upload': 'ListParts',
    'POST upload': 'CompleteMultipartUpload',
    'DELETE upload': 'AbortMultipartUpload',
    'POST uploads': 'CreateMultipartUpload',
    'PUT object': 'PutObject',
    'GET object': 'GetObject',
    'HEAD object': 'HeadObject',
    'DELETE object': 'DeleteObject',
  }
  return { operation: operations[`${request.method} ${of}`] ?? 'Unknown', key, query, bucket }
}
