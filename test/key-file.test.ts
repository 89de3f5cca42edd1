import { spawn } from 'node:child_process'
import { access, copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { eq } from 'drizzle-orm'
import { expect } from 'vitest'
import { postgresServers } from '../src/database/tables/server.ts'
import { keyFileCanary } from '../src/database/tables/vault-key.ts'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { unlockSecrets, WrongKeyFile } from '../src/vault/check-key.ts'
import { addVault, register } from './kit/protected-server.ts'
import { startServiceProcess } from './kit/service-process.ts'
import { test } from './kit/test.ts'

const now = new Date('2026-03-01T12:00:00Z')
const aServer = { host: 'db', port: 5432, superuser: 'backup', password: 'secret word' }

test('the first start makes the key file, and every later one opens what was sealed with it', async ({
  database,
  folder,
}) => {
  const keyFile = join(folder, 'secret.key')
  const { secrets } = await unlockSecrets(database, { keyFile, now })
  const sealed = secrets.seal('word')
  const later = await unlockSecrets(database, { keyFile, now })
  expect(later.secrets.open(sealed)).toBe('word')
  expect(later.unreadable).toEqual([])
})

test('a key file that was lost is never made anew, not even before any vault exists', async ({ database, folder }) => {
  const keyFile = join(folder, 'secret.key')
  await unlockSecrets(database, { keyFile, now })
  await rm(keyFile)
  await expect(unlockSecrets(database, { keyFile, now })).rejects.toThrow(/secret\.key is not there.*put back/)
  expect(await readdir(folder)).toEqual([])
})

test('another key file is refused by the canary before anything is sealed with it', async ({ database, folder }) => {
  await unlockSecrets(database, { keyFile: join(folder, 'first.key'), now })
  await openSecretBox(join(folder, 'other.key'))
  const refused = unlockSecrets(database, { keyFile: join(folder, 'other.key'), now })
  await expect(refused).rejects.toBeInstanceOf(WrongKeyFile)
  await expect(refused).rejects.toThrow(/other\.key is not the one that Holdfast was first started with/)
})

test('of two first starts with key files of their own exactly one is let in, and the other leaves no file', async ({
  database,
  folder,
}) => {
  const keyFiles = ['one.key', 'two.key'].map((name) => join(folder, name))
  const ends = await Promise.allSettled(keyFiles.map((keyFile) => unlockSecrets(database, { keyFile, now })))
  expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  expect(await readdir(folder)).toHaveLength(1)
})

test('a vault’s key that the file does not open is refused by its name, whichever vault it is', async ({
  database,
  folder,
}) => {
  const keyFile = join(folder, 'secret.key')
  const { secrets } = await unlockSecrets(database, { keyFile, now })
  await addVault({ database, secrets }, join(folder, 'one'))
  const other = await openSecretBox(join(folder, 'other.key'))
  const foreign = await addVault({ database, secrets: other }, join(folder, 'two'))
  await expect(unlockSecrets(database, { keyFile, now })).rejects.toThrow(`the key of vault "${foreign.name}"`)
})

test('where no canary was left yet, what is sealed shows whether the key file is right', async ({
  database,
  folder,
}) => {
  const first = await openSecretBox(join(folder, 'first.key'))
  await register({ database, secrets: first }, aServer, { name: 'Orders' })
  await openSecretBox(join(folder, 'other.key'))
  const other = { keyFile: join(folder, 'other.key'), now }
  await expect(unlockSecrets(database, other)).rejects.toThrow('does not open the password for server "Orders"')
  expect(await database.select().from(keyFileCanary)).toEqual([])
  await unlockSecrets(database, { keyFile: join(folder, 'first.key'), now })
  expect(await database.select().from(keyFileCanary)).toHaveLength(1)
  await database.delete(postgresServers)
  await expect(unlockSecrets(database, other)).rejects.toThrow(/not the one that Holdfast was first started with/)
})

test('a password that cannot be read any more stops no start: it is named, and can be given anew', async ({
  database,
  folder,
}) => {
  const keyFile = join(folder, 'secret.key')
  const { secrets } = await unlockSecrets(database, { keyFile, now })
  const { id } = await register({ database, secrets }, aServer, { name: 'Orders' })
  await database.update(postgresServers).set({ sealedPassword: 'v1.AAAA' }).where(eq(postgresServers.id, id))
  expect((await unlockSecrets(database, { keyFile, now })).unreadable).toEqual(['the password for server "Orders"'])
})

test('the service itself refuses with one sentence, and leaves nothing where the key file was', async ({
  databaseUrl,
  folder,
}) => {
  const keyFile = join(folder, 'keys', 'secret.key')
  await mkdir(join(folder, 'keys'))
  await (await startServiceProcess({ databaseUrl, folder, keyFile })).kill()
  await rename(keyFile, join(folder, 'put away'))
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const refused = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: databaseUrl,
      HOLDFAST_ROLE: 'worker',
      HOLDFAST_DATA_DIR: join(folder, 'data'),
      HOLDFAST_KEY_FILE: keyFile,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  expect(await text(refused.stderr)).toMatch(/^The key file \S+ is not there, and the metadata database .*\.\n$/)
  expect(refused.exitCode ?? 1).toBe(1)
  expect(await readdir(join(folder, 'keys'))).toEqual([])
  await copyFile(join(folder, 'put away'), keyFile)
  await using again = await startServiceProcess({ databaseUrl, folder, keyFile })
  expect(again.pid).toBeGreaterThan(0)
  await access(keyFile)
}, 60_000)
