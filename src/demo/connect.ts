import postgres from 'postgres'
import type { Cluster } from '../cluster/start.ts'

/**
 * Connects to one database of a private server as its superuser, runs the work, and disconnects. An abort ends it at once,
 * and the work with an error.
 */
export async function withConnection<T>(
  server: Cluster,
  { database, settings = {}, signal }: { database: string; settings?: Record<string, string>; signal: AbortSignal },
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const sql = postgres({
    host: server.host,
    port: server.port,
    username: server.superuser,
    password: server.password,
    database,
    max: 1,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: 'holdfast demo', ...settings },
  })
  const stop = () => void sql.end({ timeout: 0 })
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await work(sql)
  } finally {
    signal.removeEventListener('abort', stop)
    await sql.end({ timeout: 1 })
  }
}
