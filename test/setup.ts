import postgres from 'postgres'
import type { TestProject } from 'vitest/node'
import { migrateDatabase } from '../src/database/migrate.ts'
import { templateName } from './kit/fresh-database.ts'
import { sourceServer } from './kit/source-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The maintenance database of the metadata server that all tests of a run share. */
    metadataServerUrl: string
  }
}

/** Starts one metadata server for the whole run, with a migrated template database that tests clone. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await sourceServer({
    major: 18,
    // A look of autovacuum at the template would hold up a clone.
    settings: { max_connections: '300', autovacuum: 'off' },
  })
  const sql = postgres(server.url('postgres'), { max: 1 })
  await sql.unsafe(`create database ${templateName}`)
  await migrateDatabase(server.url(templateName))
  await sql.unsafe(`alter database ${templateName} with allow_connections false`)
  await sql.end()
  project.provide('metadataServerUrl', server.url('postgres'))
  return async () => server[Symbol.asyncDispose]()
}
