import { X509Certificate } from 'node:crypto'
import type { ServerAddress } from './address.ts'
import { EngineError } from './engine-error.ts'

/**
 * Makes sure that an address names exactly one server over TCP, and that every field can be passed on unchanged.
 * Throws ADDRESS_INVALID naming the field; dials nothing.
 */
export function checkAddress(address: ServerAddress): void {
  const problem =
    problemOfHost(address.host) ??
    problemOfPort(address.port) ??
    problemOfText('user name', address.username) ??
    problemOfText('maintenance database', address.maintenanceDatabase) ??
    problemOfPassword(address.password) ??
    problemOfCertificate(address.caCertificate)
  if (problem) throw new EngineError('ADDRESS_INVALID', problem)
}

function problemOfHost(host: string): string | undefined {
  if (host === '') return 'The host is empty.'
  if (host.startsWith('/') || host.startsWith('@')) {
    return `The host "${host}" would be a local socket of the machine that runs backups, not a server's address.`
  }
  if (host.includes(',')) return `The host "${host}" is a list; one server has one host.`
  if (/[\s\0/\\]/.test(host)) return 'The host holds a character that no host name or address has.'
  return undefined
}

function problemOfPort(port: number): string | undefined {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return undefined
  return `The port ${port} is not a whole number from 1 to 65535.`
}

function problemOfText(field: string, text: string): string | undefined {
  if (text === '') return `The ${field} is empty.`
  if (text.includes('\0')) return `The ${field} holds a NUL character.`
  return undefined
}

// A password file of PostgreSQL is read line by line, so a line break cannot be part of a password in it.
function problemOfPassword(password: string): string | undefined {
  return /[\0\r\n]/.test(password) ? 'The password holds a line break or a NUL character.' : undefined
}

function problemOfCertificate(certificate: string | null): string | undefined {
  if (certificate === null) return undefined
  try {
    new X509Certificate(certificate)
    return undefined
  } catch {
    return 'The CA certificate is not a PEM certificate.'
  }
}
