import { getCACertificates } from 'node:tls'
import type { ServerAddress } from './address.ts'

/**
 * The PEM certificates that a server's certificate must lead to, or undefined when it is not checked at all.
 * As in libpq, REQUIRE with a certificate of its own checks it; the system's stand in where none is given.
 */
export function trustedCertificates({ tlsMode, caCertificate }: ServerAddress): string | undefined {
  if (tlsMode === 'DISABLE') return undefined
  if (caCertificate !== null) return caCertificate
  if (tlsMode === 'REQUIRE') return undefined
  const system = getCACertificates('system')
  return (system.length > 0 ? system : getCACertificates('bundled')).join('\n')
}
