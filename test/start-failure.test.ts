import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { expect } from 'vitest'
import { ClusterNotStarted } from '../src/cluster/start.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { startFailure } from '../src/start-failure.ts'
import { test } from './kit/test.ts'

const asked = { hasDatabaseUrl: true }
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

test('a start that cannot be is told in one sentence that says what to set', { timeout: 120_000 }, async ({
  databaseUrl,
  folder,
}) => {
  const keyFile = join(folder, 'secret.key')
  const said = async (environment: Record<string, string>) => {
    const child = spawn(process.execPath, [main], {
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: databaseUrl,
        HOLDFAST_ROLE: 'api',
        HOLDFAST_DATA_DIR: join(folder, 'data'),
        HOLDFAST_KEY_FILE: keyFile,
        ...environment,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    return text(child.stderr)
  }
  await using taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  const port = String(typeof address === 'object' && address?.port)

  // Nothing listens there, and nothing that is given any free port ever will.
  const elsewhere = Object.assign(new URL(databaseUrl), { port: '1' })
  expect(await said({ DATABASE_URL: elsewhere.href })).toMatch(
    /^The metadata database that DATABASE_URL names .*ECONNREFUSED.*\.\n$/,
  )
  const missing = Object.assign(new URL(databaseUrl), { pathname: '/nowhere' })
  expect(await said({ DATABASE_URL: missing.href })).toMatch(/^The metadata .* database "nowhere" does not exist\.\n$/)
  expect(await said({ HOLDFAST_PORT: port })).toBe(
    `Port ${port} is in use, by a demo that still runs for one: stop that program, or set HOLDFAST_PORT (of a worker HOLDFAST_HEALTH_PORT) to another.\n`,
  )
  expect(await said({ HOLDFAST_HOST: '192.0.2.1', HOLDFAST_API_TOKEN: 'more-than-enough-characters' })).toBe(
    'This machine has no address 192.0.2.1 to listen on: set HOLDFAST_HOST to one that it has.\n',
  )
  expect(await said({ HOLDFAST_DATA_DIR: keyFile })).toMatch(/^The data directory \S+ cannot be made: EEXIST.*\n$/)
  await mkdir(join(folder, 'odd', 'lock'), { recursive: true })
  expect(await said({ HOLDFAST_DATA_DIR: join(folder, 'odd') })).toMatch(
    /^The data directory \S+ cannot be used: unable to open database file \(\S+lock\)\.\n$/,
  )
  await chmod(keyFile, 0o644)
  expect(await said({})).toMatch(/^The key file \S+ is open to other users: run chmod 600 on it\.\n$/)
  await writeFile(keyFile, 'short', { mode: 0o600 })
  await chmod(keyFile, 0o600)
  expect(await said({})).toMatch(/^The key file \S+ holds 5 bytes where a key has 32\.\n$/)
})

test('what is refused to the program, or lies in a newer database, is told in one sentence, too', async ({
  databaseUrl,
}) => {
  const listening = Object.assign(new Error('listen EACCES: permission denied 0.0.0.0:80'), {
    code: 'EACCES',
    syscall: 'listen',
    address: '0.0.0.0',
    port: 80,
  })
  expect(startFailure(listening, asked)).toBe(
    'Port 80 is for the superuser here: set HOLDFAST_PORT (of a worker HOLDFAST_HEALTH_PORT) to one from 1024 on.',
  )
  const opening = Object.assign(new Error("EACCES: permission denied, open '/data/lock'"), {
    code: 'EACCES',
    syscall: 'open',
    path: '/data/lock',
  })
  expect(startFailure(opening, asked)).toBe(
    'This program may not use /data/lock: give that to the user that it runs as, or set HOLDFAST_DATA_DIR or HOLDFAST_KEY_FILE to another place.',
  )
  await migrateDatabase(databaseUrl)
  const client = postgres(databaseUrl, { max: 1 })
  await client`update drizzle.__drizzle_migrations set created_at = created_at + 1000000000000`
  await client.end()
  const newer = await migrateDatabase(databaseUrl).catch((cause: unknown) => startFailure(cause, asked))
  expect(newer).toBe(
    'The metadata database was migrated by a newer version of Holdfast: start that version, or a later one.',
  )
})

test('an embedded database that does not start is told of as what it is', () => {
  const why = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5555'), { code: 'ECONNREFUSED' })
  expect(startFailure(why, asked)).toBe(
    'The metadata database that DATABASE_URL names cannot be used: connect ECONNREFUSED 127.0.0.1:5555.',
  )
  expect(startFailure(why, { hasDatabaseUrl: false })).toBe(
    'The embedded metadata database cannot be used: connect ECONNREFUSED 127.0.0.1:5555. Its metadata/server.log in the data directory says more.',
  )
  const cluster = new ClusterNotStarted('PostgreSQL did not start on /data/metadata: FATAL: no space', { cause: why })
  expect(startFailure(cluster, { hasDatabaseUrl: false })).toBe(cluster.message)
})
