import { createHmac } from 'node:crypto'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { DeliveryResult } from '../../notification/delivery/conclude.ts'

/** The answer's body says nothing that is used; so much of it is taken off the line, bytes. */
const mostDrainedBytes = 65_536

export interface WebhookRequest {
  url: string
  signingSecret: string
  /** The same for every attempt at one delivery. */
  deliveryId: string
  /** JSON, the same for every attempt. */
  body: string
  now: Date
  timeoutMs: number
  /** Ends the attempt at once. */
  signal: AbortSignal
}

/**
 * Posts one notification and waits for the answer: 2xx is delivered, anything else is not; redirects are never followed.
 * The receiver can tell by the signature that it was Holdfast, and by the timestamp under it that it is no repetition.
 */
export async function sendWebhook(request: WebhookRequest): Promise<DeliveryResult> {
  const tooLate = AbortSignal.timeout(request.timeoutMs)
  try {
    const status = await post(request, AbortSignal.any([request.signal, tooLate]))
    if (status >= 200 && status < 300) return { kind: 'DELIVERED', text: `HTTP ${status}` }
    const isRedirect = status >= 300 && status < 400
    return { kind: 'FAILED', text: `HTTP ${status}${isRedirect ? ': redirects are not followed' : ''}` }
  } catch (cause) {
    if (request.signal.aborted) return { kind: 'INTERRUPTED', text: 'The worker stopped meanwhile.' }
    if (tooLate.aborted) return { kind: 'FAILED', text: `No answer within ${request.timeoutMs / 1000} s` }
    return { kind: 'FAILED', text: networkFailure(cause) }
  }
}

/** What the receiver computes too: hex HMAC-SHA256 over "<timestamp>.<body>", keyed with the signing secret. */
export function signatureOf({
  signingSecret,
  timestamp,
  body,
}: {
  signingSecret: string
  timestamp: string
  body: string
}): string {
  return `v1=${createHmac('sha256', signingSecret).update(`${timestamp}.${body}`).digest('hex')}`
}

/** A failure of the network by its code, free of everything that the URL holds. */
export function networkFailure(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
  if (code === undefined) return 'It could not be sent'
  return failureTexts[code] ?? `It could not be sent: ${code}`
}

const failureTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection lost',
  EPIPE: 'Connection lost',
  ENOTFOUND: 'The host name is unknown',
  EAI_AGAIN: 'The host name could not be resolved now',
  EHOSTUNREACH: 'The host cannot be reached',
  ENETUNREACH: 'The network cannot be reached',
  ETIMEDOUT: 'No connection in time',
  CERT_HAS_EXPIRED: 'The certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'The certificate is not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'The certificate is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'The certificate is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'The certificate is not trusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The certificate is for another host',
}

async function post({ url, body, now, ...request }: WebhookRequest, signal: AbortSignal): Promise<number> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const { promise: answered, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const send = url.startsWith('https:') ? requestHttps : requestHttp
  send(url, {
    method: 'POST',
    // A connection of its own: none that broke since it was last used.
    agent: false,
    signal,
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'Holdfast',
      'holdfast-delivery': request.deliveryId,
      'holdfast-timestamp': timestamp,
      'holdfast-signature': signatureOf({ signingSecret: request.signingSecret, timestamp, body }),
    },
  })
    .on('response', resolve)
    .on('error', reject)
    .end(body)
  const answer = await answered
  await drain(answer)
  return answer.statusCode ?? 0
}

/** Takes the rest of an answer off the line, a bounded part of it; how it ends does not matter any more. */
async function drain(answer: IncomingMessage): Promise<void> {
  let bytes = 0
  try {
    for await (const chunk of answer) {
      bytes += Buffer.byteLength(chunk)
      if (bytes > mostDrainedBytes) break
    }
  } catch {
    // The status was given, and that is what counts.
  }
  answer.destroy()
}
