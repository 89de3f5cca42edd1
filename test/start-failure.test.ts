import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { test } from './kit/test.ts'

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
  await chmod(keyFile, 0o644)
  expect(await said({})).toMatch(/^The key file \S+ is open to other users: run chmod 600 on it\.\n$/)
  await writeFile(keyFile, 'short', { mode: 0o600 })
  await chmod(keyFile, 0o600)
  expect(await said({})).toMatch(/^The key file \S+ holds 5 bytes where a key has 32\.\n$/)
})
