import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { expect } from 'vitest'
import { paste, shellBlocks } from './kit/paste.ts'
import { installedMajor, programsOf } from './kit/postgres-programs.ts'
import { runSql, startService } from './kit/protected-server.ts'
import { backUp, copied, protectTwice } from './kit/replica.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

test('a bare replica restores with stock programs and its own recovery key alone', { timeout: 120_000 }, async ({
  databaseUrl,
  folder,
  source,
}) => {
  await runSql(source, 'postgres', 'create role "Owner of app" nologin', 'create database app owner "Owner of app"')
  const rows = 'create table "Straße" as select n, md5(n::text) as word from generate_series(1, 1234) n'
  await runSql(source, 'app', rows, 'alter table "Straße" owner to "Owner of app"')
  // The vaults are made by the service, which is gone when the restore begins, and so is the first of them.
  const { replicaPath, vaultPath, recoveryKey } = await (async () => {
    await using service = await startService({ databaseUrl, folder })
    const made = await protectTwice(service, source, folder)
    const job = await copied(service.database, (await backUp(service, made.instance.id)).id)
    expect(job).toMatchObject({ status: 'COMPLETED', error: null })
    return { ...made, recoveryKey: service.secrets.open(made.replica.sealedIdentity) }
  })()
  await rename(vaultPath, join(folder, 'lost'))
  const key = join(folder, 'recovery key.txt')
  await writeFile(key, `${recoveryKey}\n`, { mode: 0o600 })
  const work = join(folder, 'work space')
  await mkdir(work)

  const [variables, ...steps] = shellBlocks(await readFile(join(replicaPath, 'RESTORE.md'), 'utf8'))
  await using target = await sourceServer()
  const filledIn = (variables ?? '')
    .replace('/path/to/this/folder', `'${replicaPath}'`)
    .replace('/path/to/the/recovery-key.txt', `'${key}'`)
    .replace('/path/to/a/new/empty/folder', `'${work}'`)
    .replace('127.0.0.1', target.host)
    .replace('5432', `${target.port}`)
    .replace('PGUSER=postgres', `PGUSER=${target.superuser}`)
  const output = await paste([filledIn, ...steps.slice(0, -1)], {
    PATH: `${await programsOf(await installedMajor())}:${process.env.PATH}`,
    PGPASSWORD: target.password,
  })
  expect(output).not.toMatch(/NOT RESTORED|FAILED|age: error|zstd: error/i)
  expect(output).toContain('restored: "app"')
  const sql = postgres(target.url('app'), { max: 1 })
  const found = await sql`select count(*)::int as rows, min(tableowner) as owner
    from "Straße", pg_tables where tablename = 'Straße'`
  await sql.end()
  expect(found).toMatchObject([{ rows: 1234, owner: 'Owner of app' }])
})
