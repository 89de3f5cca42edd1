/** How to verify the server's certificate: libpq's sslmode of the same name. */
export type TlsMode = 'DISABLE' | 'REQUIRE' | 'VERIFY_CA' | 'VERIFY_FULL'

/** Everything needed to reach one PostgreSQL server; only ever built from structured fields. */
export interface ServerAddress {
  host: string
  port: number
  username: string
  password: string
  /** A database to connect to for questions about the whole server, usually "postgres". */
  maintenanceDatabase: string
  tlsMode: TlsMode
  /** PEM certificates to trust; null trusts the system's. */
  caCertificate: string | null
}
