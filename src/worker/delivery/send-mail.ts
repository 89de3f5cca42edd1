import { createTransport } from 'nodemailer'
import type { DeliveryResult } from '../../notification/delivery/conclude.ts'
import { networkFailure } from './send-webhook.ts'

/** Where mail is handed over, and who it comes from. */
export interface MailServer {
  host: string
  port: number
  /** TLS from the first byte; else it is begun when the server offers it. */
  isSecure: boolean
  /** Null: nobody signs in. */
  username: string | null
  password: string | null
  from: string
}

export interface Mail {
  to: readonly string[]
  subject: string
  text: string
  /** The same for every attempt at one delivery. */
  deliveryId: string
  timeoutMs: number
  /** Ends the attempt at once. */
  signal: AbortSignal
}

const loopbackHosts = new Set(['localhost', '127.0.0.1', '::1'])

/** Hands one mail over to the mail server: delivered when the server takes it for at least one of the recipients. */
export async function sendMail(server: MailServer, { signal, timeoutMs, ...mail }: Mail): Promise<DeliveryResult> {
  const { host, port, isSecure, username, password, from } = server
  const transport = createTransport({
    host,
    port,
    secure: isSecure,
    // A password is never sent in the open, but within this machine.
    requireTLS: !isSecure && username !== null && !loopbackHosts.has(host),
    ...(username !== null && { auth: { user: username, pass: password ?? '' } }),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const message = {
    from,
    to: [...mail.to],
    subject: mail.subject,
    text: mail.text,
    messageId: `<${mail.deliveryId}@${from.split('@').at(-1) ?? 'holdfast'}>`,
    headers: { 'Auto-Submitted': 'auto-generated', 'Holdfast-Delivery': mail.deliveryId },
  }
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  // The server may say something now and then for ever: an attempt as a whole takes no longer than three of its steps.
  const over = AbortSignal.any([signal, AbortSignal.timeout(3 * timeoutMs)])
  over.addEventListener('abort', () => reject(new Error('stopped')), { once: true })
  try {
    const { rejected } = await Promise.race([transport.sendMail(message), stopped])
    const refused = rejected.length === 0 ? '' : `; not for ${rejected.join(', ')}`
    return { kind: 'DELIVERED', text: `The mail server took it${refused}` }
  } catch (cause) {
    if (signal.aborted) return { kind: 'INTERRUPTED', text: 'The worker stopped meanwhile.' }
    if (over.aborted) return { kind: 'FAILED', text: `The mail server was not done within ${(3 * timeoutMs) / 1000} s` }
    return { kind: 'FAILED', text: mailFailure(cause) }
  } finally {
    transport.close()
  }
}

/** What went wrong, by codes alone: what the server says may quote what it was told. */
function mailFailure(cause: unknown): string {
  const answered = cause instanceof Error && 'responseCode' in cause ? cause.responseCode : undefined
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  if (code === 'EAUTH') return `The mail server refused the user name or password (SMTP ${answered ?? 'error'})`
  if (code === 'EENVELOPE') return `The mail server refused the sender or every recipient (SMTP ${answered ?? 'error'})`
  if (code === 'ETLS') return 'The mail server offers no TLS that can be trusted, and the password is not sent without'
  if (typeof answered === 'number') return `SMTP ${answered}`
  if (code === 'ESOCKET' || code === 'ECONNECTION')
    return certificateFailure(cause) ?? 'The mail server cannot be reached'
  if (code === 'ETIMEDOUT') return 'The mail server did not answer in time'
  return networkFailure(cause)
}

/** What is wrong with the server's certificate, which is kept beside the code of the socket; undefined when nothing is. */
function certificateFailure(cause: unknown): string | undefined {
  const code = cause instanceof Error && 'originalCode' in cause ? String(cause.originalCode) : ''
  return /CERT|LEAF_SIGNATURE/.test(code) ? networkFailure(Object.assign(new Error(code), { code })) : undefined
}
