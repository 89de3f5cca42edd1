import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { checkServerIdentity, type PeerCertificate, connect as startTls } from 'node:tls'
import type { ServerAddress } from './address.ts'
import { EngineError } from './engine-error.ts'
import { trustedCertificates } from './trusted-certificates.ts'

const connectTimeoutMs = 10_000
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

/**
 * A connection to the server, with TLS as its address demands, ready for PostgreSQL's start-up message.
 * Fails within 10 s; a server without TLS, or with a certificate that the mode does not accept, is never spoken to.
 */
export async function openSocket(address: ServerAddress, signal?: AbortSignal): Promise<Socket> {
  const late = AbortSignal.timeout(connectTimeoutMs)
  const limit = signal ? AbortSignal.any([signal, late]) : late
  const socket = connect({ host: address.host, port: address.port, keepAlive: true, noDelay: true })
  try {
    await once(socket, 'connect', { signal: limit })
    return address.tlsMode === 'DISABLE' ? socket : await secure(socket, address, limit)
  } catch (error) {
    socket.destroy()
    if (signal?.aborted) throw signal.reason
    if (!late.aborted) throw error
    throw new EngineError('SERVER_UNREACHABLE', `${address.host}:${address.port} did not answer within 10 s.`)
  }
}

async function secure(socket: Socket, address: ServerAddress, signal: AbortSignal): Promise<Socket> {
  socket.write(sslRequest)
  const [answer]: Buffer[] = await once(socket, 'data', { signal })
  // More than one byte here was sent by someone in between, before the encryption: never read it.
  if (answer?.toString('latin1') !== 'S') {
    throw new EngineError('TLS_UNAVAILABLE', `The server at ${address.host}:${address.port} does not offer TLS.`)
  }
  const ca = trustedCertificates(address)
  const secured = startTls({
    socket,
    ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
    ...(ca === undefined ? { rejectUnauthorized: false } : { ca: splitPem(ca), rejectUnauthorized: true }),
    checkServerIdentity: (_, certificate) =>
      address.tlsMode === 'VERIFY_FULL' ? checkIdentity(address.host, certificate) : undefined,
  })
  await once(secured, 'secureConnect', { signal })
  return secured
}

function splitPem(pem: string): string[] {
  return pem.match(/-----BEGIN [^-]*CERTIFICATE-----[^-]*-----END [^-]*CERTIFICATE-----/g) ?? []
}

// libpq also takes an address that stands as the common name of a certificate without alternative names.
function checkIdentity(host: string, certificate: PeerCertificate): Error | undefined {
  if (isIP(host) !== 0 && certificate.subjectaltname === undefined && certificate.subject.CN === host) return undefined
  return checkServerIdentity(host, certificate)
}
