import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Principal } from '../context.ts'
import type { Rejection } from './answer.ts'

/** Who may ask: whoever is on this machine, or whoever shows the token. */
export interface Access {
  /** The host that was configured to listen on. */
  host: string
  apiToken: string | null
}

const loopback = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Turns away a request whose Host is not ours (where no token protects us, a foreign page could have made its own name
 * point here) or whose Origin is another site's.
 */
export function placeRejection({ headers }: IncomingMessage, { host, apiToken }: Access): Rejection | undefined {
  const asked = hostName(headers.host)
  if (asked === undefined) return { status: 400, code: 'BAD_REQUEST', message: 'The Host header names no host.' }
  if (apiToken === null && !loopback.has(asked) && asked !== bracketed(host)) {
    const message = 'This host name is not the one that is listened on; use localhost, or set an API token.'
    return { status: 421, code: 'HOST_NOT_ALLOWED', message }
  }
  if (headers.origin !== undefined && originHost(headers.origin) !== headers.host?.toLowerCase()) {
    return { status: 403, code: 'ORIGIN_NOT_ALLOWED', message: 'Pages of another origin may not call this API.' }
  }
  return undefined
}

/** Who is asking, by the text of an authorization header; undefined when a token is asked for and not shown. */
export function principalOf(authorization: unknown, { apiToken }: Access): Principal | undefined {
  if (apiToken === null) return { name: 'local' }
  const [, shown] = /^Bearer +(\S+)$/i.exec(typeof authorization === 'string' ? authorization : '') ?? []
  return shown !== undefined && isSame(shown, apiToken) ? { name: 'api-token' } : undefined
}

export const unauthenticated: Rejection = {
  status: 401,
  code: 'UNAUTHENTICATED',
  message: 'Send the API token as "Authorization: Bearer <token>".',
  headers: { 'www-authenticate': 'Bearer' },
}

/** Compares digests, so that neither time nor length tells how much of the token was right. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(createHash('sha256').update(one).digest(), createHash('sha256').update(other).digest())
}

function hostName(header: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.exec(header ?? '')?.[1]?.toLowerCase()
}

function bracketed(host: string): string {
  return (host.includes(':') ? `[${host}]` : host).toLowerCase()
}

function originHost(origin: string): string | undefined {
  return URL.parse(origin)?.host
}
