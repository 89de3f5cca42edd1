import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { backUpNow } from '../src/instance/back-up-now.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { rotateVaultKey } from '../src/vault/key/rotate.ts'
import { paste, shellBlocks } from './kit/paste.ts'
import { installedMajor, programsOf } from './kit/postgres-programs.ts'
import { actor, protect, startService } from './kit/protected-server.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const nastyName = `it's "app"=x`

/** Runs statements on a server's database; answers the rows of the last one. */
async function runSql(cluster: Cluster, databaseName: string, ...statements: string[]): Promise<unknown[]> {
  const { host, port, superuser: username, password } = cluster
  const sql = postgres({ host, port, username, password, database: databaseName, max: 1, onnotice: () => {} })
  let rows: unknown[] = []
  try {
    for (const statement of statements) rows = [...(await sql.unsafe(statement))]
  } finally {
    await sql.end()
  }
  return rows
}

test.for([
  { title: 'a vault', isRotated: false },
  { title: 'a vault whose key was rotated since, by the new key alone,', isRotated: true },
])(
  'the text in the root of $title restores its newest point with stock programs alone',
  {
    timeout: 120_000,
  },
  async ({ isRotated }, { databaseUrl, folder }) => {
    await using source = await sourceServer()
    await runSql(
      source,
      'postgres',
      'create role "Owner of app" nologin',
      `create database "${nastyName.replaceAll('"', '""')}" owner "Owner of app"`,
      'create database second',
      'create table kept_in_postgres (id int)',
      'insert into kept_in_postgres values (7)',
    )
    await runSql(
      source,
      nastyName,
      'create table "Straße" (id int primary key, words text)',
      `insert into "Straße" select n, repeat('x', n) from generate_series(1, 1234) n`,
      'alter table "Straße" owner to "Owner of app"',
      `select lo_from_bytea(0, 'large object')`,
    )

    // The vault is made by the service, which is gone when the restore begins.
    const { vaultPath, recoveryKey } = await (async () => {
      await using service = await startService({ databaseUrl, folder })
      const { instance, vault, vaultPath } = await protect(service, source, folder)
      for (const words of ['older', 'newest']) {
        await runSql(source, 'second', 'drop table if exists state', `create table state as select '${words}' as words`)
        const job = await backUpNow(service.database, { instanceId: instance.id, actor, now: new Date() })
        expect((await service.ended(job.id)).error).toBeNull()
      }
      if (isRotated) {
        const { database, secrets } = service
        const rotation = await rotateVaultKey(database, {
          vaultId: vault.id,
          dryRun: false,
          secrets,
          actor,
          now: new Date(),
        })
        expect((await service.ended(rotation.job.id)).error).toBeNull()
      }
      const exported = await exportRecoveryKey(service.database, {
        vaultId: vault.id,
        secrets: service.secrets,
        actor,
        now: new Date(),
      })
      return { vaultPath, recoveryKey: exported.recoveryKey }
    })()
    const copy = join(folder, 'a copy of the vault')
    await rename(vaultPath, copy)
    const key = join(folder, 'recovery key.txt')
    await writeFile(key, `${recoveryKey}\n`, { mode: 0o600 })
    const work = join(folder, 'work space')
    await mkdir(work)

    const [variables, ...steps] = shellBlocks(await readFile(join(copy, 'RESTORE.md'), 'utf8'))
    await using target = await sourceServer()
    const filledIn = (variables ?? '')
      .replace('/path/to/this/folder', `'${copy}'`)
      .replace('/path/to/the/recovery-key.txt', `'${key}'`)
      .replace('/path/to/a/new/empty/folder', `'${work}'`)
      .replace('127.0.0.1', target.host)
      .replace('5432', `${target.port}`)
      .replace('PGUSER=postgres', `PGUSER=${target.superuser}`)
    // Whoever restores another point begins with step 2 again, in the same shell.
    const output = await paste([filledIn, ...steps, ...steps.slice(0, 2)], {
      PATH: `${await programsOf(await installedMajor())}:${process.env.PATH}`,
      PGPASSWORD: target.password,
    })

    expect(output).not.toMatch(/NOT RESTORED|FAILED|age: error|zstd: error/i)
    expect(output.match(/^(globals\.sql|\d+\.dump): OK$/gm)).toHaveLength(4)
    expect(output.match(/^restored: .*$/gm)?.toSorted()).toEqual([
      'restored: "it\'s \\"app\\"=x"',
      'restored: "postgres"',
      'restored: "second"',
    ])
    expect((await readdir(work)).toSorted()).toEqual(
      expect.arrayContaining(['0001.dump', '0002.dump', '0003.dump', 'globals.sql', 'manifest.json']),
    )
    const rows = 'select count(*)::int, sum(length(words))::int as length from "Straße"'
    expect(await runSql(target, nastyName, rows)).toEqual([{ count: 1234, length: (1234 * 1235) / 2 }])
    expect(await runSql(target, nastyName, 'select tableowner from pg_tables where tablename = $$Straße$$')).toEqual([
      { tableowner: 'Owner of app' },
    ])
    const largeObjects = `select convert_from(lo_get(oid), 'UTF8') as words from pg_largeobject_metadata`
    expect(await runSql(target, nastyName, largeObjects)).toEqual([{ words: 'large object' }])
    expect(await runSql(target, 'second', 'select words from state')).toEqual([{ words: 'newest' }])
    expect(await runSql(target, 'postgres', 'select id from kept_in_postgres')).toEqual([{ id: 7 }])
    const copies = await runSql(target, 'postgres', `select 1 from pg_database where datname = 'restored_copy'`)
    expect(copies).toHaveLength(1)
  },
)
