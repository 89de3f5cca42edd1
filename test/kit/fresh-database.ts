import postgres from 'postgres'
import { inject } from 'vitest'

/** The migrated database that every test's own is copied from. */
export const templateName = 'holdfast_template'

/** A database of its own on the run's metadata server, migrated and otherwise empty; dropped when disposed of. */
export async function freshDatabase(): Promise<AsyncDisposable & { url: string; name: string }> {
  return createDatabase(`template ${templateName}`)
}

/** As freshDatabase, but without any table: for tests of the migrations themselves. */
export async function emptyDatabase(): Promise<AsyncDisposable & { url: string; name: string }> {
  return createDatabase('')
}

async function createDatabase(template: string) {
  const server = inject('metadataServerUrl')
  const name = `test_${crypto.randomUUID().replaceAll('-', '')}`
  await asAdministrator(server, `create database ${name} ${template}`)
  const url = new URL(server)
  url.pathname = name
  return {
    name,
    url: url.href,
    [Symbol.asyncDispose]: () => asAdministrator(server, `drop database if exists ${name} with (force)`),
  }
}

async function asAdministrator(url: string, statement: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await sql.unsafe(statement)
  } finally {
    await sql.end()
  }
}
