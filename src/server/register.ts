import { randomUUID, X509Certificate } from 'node:crypto'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { postgresServers } from '../database/tables/server.ts'
import { checkName, InvalidInput, NameTaken } from '../refusal.ts'
import type { SecretBox } from '../secret/secret-box.ts'
import type { PostgresServer } from './server.ts'

export interface RegisterServer {
  name: string
  host: string
  port: number
  username: string
  password: string
  maintenanceDatabase: string
  tlsMode: PostgresServer['tlsMode']
  caCertificate: string | null
  secrets: SecretBox
  actor: string
  now: Date
}

/**
 * Registers a PostgreSQL server from structured fields; the password is kept sealed and never read back.
 * Nothing is dialled: configuring protection checks that the server can be reached and read.
 */
export async function registerServer(database: Database, input: RegisterServer): Promise<PostgresServer> {
  const { name, host, port, username, password, maintenanceDatabase, tlsMode, caCertificate } = input
  const { secrets, actor, now } = input
  checkName('name', name)
  checkHost(host)
  checkPort(port)
  checkIdentifier('maintenanceDatabase', maintenanceDatabase)
  checkCredentials({ username, password })
  checkCertificate(caCertificate)
  return database.transaction(async (tx) => {
    const [registered] = await tx
      .insert(postgresServers)
      .values({
        id: randomUUID(),
        name,
        host,
        port,
        username,
        sealedPassword: secrets.seal(password),
        passwordSetAt: now,
        maintenanceDatabase,
        tlsMode,
        caCertificate,
        createdAt: now,
      })
      .onConflictDoNothing({ target: postgresServers.name })
      .returning()
    if (!registered) throw new NameTaken('server', name)
    await recordAudit(tx, {
      actor,
      action: 'registerServer',
      subject: { kind: 'PostgresServer', id: registered.id, name },
      after: { host, port, username, maintenanceDatabase, tlsMode, hasCaCertificate: caCertificate !== null },
      now,
    })
    return registered
  })
}

/** Refuses user names and passwords that libpq could not pass on unchanged. */
export function checkCredentials({ username, password }: { username: string; password: string }): void {
  checkIdentifier('username', username)
  if (password.length > 1000 || /[\0\r\n]/.test(password)) {
    throw new InvalidInput('password', 'A password has at most 1,000 characters and no line breaks.', [
      'Look for a line break that came along when it was copied.',
    ])
  }
}

/** Refuses a host that is not one name or address. */
export function checkHost(host: string): void {
  if (!/^[A-Za-z0-9_.:-]{1,255}$/.test(host) || host.startsWith('-')) {
    throw new InvalidInput(
      'host',
      'The host must be one name or address: no socket folder, list or connection string.',
      ['Give a name such as db.example.com, or an IPv4 or IPv6 address.'],
    )
  }
}

/** Refuses what is no port number. */
export function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new InvalidInput('port', `${port} is not a port number.`, [
      'Give a number from 1 to 65535; PostgreSQL listens on 5432.',
    ])
  }
}

/** Refuses what no PostgreSQL name can be. */
export function checkIdentifier(field: string, value: string): void {
  const bytes = Buffer.byteLength(value)
  if (bytes < 1 || bytes > 63 || /[\0\r\n]/.test(value) || !value.isWellFormed()) {
    throw new InvalidInput(
      field,
      `This must be a PostgreSQL name of 1 to 63 bytes without line breaks; it has ${bytes} bytes.`,
      ['Give the name as the server knows it, such as postgres.'],
    )
  }
}

/** Refuses what is no certificate in PEM form; null is none. */
export function checkCertificate(pem: string | null): void {
  if (pem === null) return
  if (pem.length > 200_000 || !isCertificate(pem)) {
    throw new InvalidInput('caCertificate', 'This is not a certificate in PEM form.', [
      'Paste the file that starts with "-----BEGIN CERTIFICATE-----".',
    ])
  }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem)
    return pem.includes('-----BEGIN CERTIFICATE-----')
  } catch {
    return false
  }
}
