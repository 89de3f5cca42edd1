import { test as base } from 'vitest'
import { connectDatabase } from '../../src/database/connect.ts'
import { freshDatabase } from './fresh-database.ts'
import { installedMajor } from './postgres-programs.ts'
import { sourceServer } from './source-server.ts'
import { temporaryFolder } from './temporary-folder.ts'

/**
 * vitest's test, with what a story may ask for; each is made when first asked for and disposed of by itself:
 * `databaseUrl` and `database` (one migrated database per test), `folder` (a path, per test),
 * `source` (a PostgreSQL server per file, of `sourceMajor`: the newest one installed unless overridden).
 */
export const test = base
  .extend('sourceMajor', { scope: 'file' }, () => installedMajor())
  .extend('source', { scope: 'file' }, async ({ sourceMajor }, { onCleanup }) => {
    const server = await sourceServer({ major: sourceMajor })
    onCleanup(() => server[Symbol.asyncDispose]())
    return server
  })
  .extend('folder', async ({ task: _ }, { onCleanup }) => {
    const folder = await temporaryFolder()
    onCleanup(() => folder[Symbol.asyncDispose]())
    return folder.path
  })
  .extend('databaseUrl', async ({ task: _ }, { onCleanup }) => {
    const database = await freshDatabase()
    onCleanup(() => database[Symbol.asyncDispose]())
    return database.url
  })
  .extend('database', async ({ databaseUrl }, { onCleanup }) => {
    const connection = connectDatabase(databaseUrl)
    onCleanup(() => connection[Symbol.asyncDispose]())
    return connection.database
  })
