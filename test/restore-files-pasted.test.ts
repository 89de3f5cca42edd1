import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import type { RestorePart } from '../src/restore/restore.ts'
import { createDatabase, run } from './kit/engine.ts'
import { actor, type Service, startService } from './kit/protected-server.ts'
import { backedUp, blocksOf, contentsOf, nastyName, paste } from './kit/restored-files.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const weird = `"weird ""table"""`

async function fill(source: Cluster): Promise<void> {
  await run(
    source,
    'postgres',
    `create role clerk login connection limit 7; create role azure_pg_admin; grant azure_pg_admin to clerk;
     create role "odd ""role"";\n" noinherit; alter role clerk set work_mem to '8MB'`,
  )
  await createDatabase(
    source,
    `create table ${weird} as select i as "column = 1", repeat(E'a\\\\b\\n\\t''', i) as text from generate_series(1, 50) i;
     create schema sales; create table sales.orders (id int primary key, text text, parent int references sales.orders);
     insert into sales.orders select i, md5(i::text), nullif(i - 1, 0) from generate_series(1, 500) i;
     create view sales.recent as select * from sales.orders where id > 400;
     alter table sales.orders owner to clerk; grant select on sales.orders to "odd ""role"";\n"`,
    nastyName,
  )
  await run(
    source,
    'postgres',
    `alter database ${quotedNasty} set work_mem to '9MB'; comment on database ${quotedNasty} is 'it''s; nasty';
     alter database ${quotedNasty} connection limit 20; alter database ${quotedNasty} owner to clerk;
     create table public.notes as select 'a note' as text`,
  )
}
const quotedNasty = `"${nastyName.replaceAll('"', '""')}"`

async function restored(
  service: Service,
  recoveryPointId: string,
  directory: string,
  how: { format: 'CUSTOM' | 'PLAIN'; part?: RestorePart },
): Promise<{ text: string; manifest: Record<string, unknown> }> {
  const target = { kind: 'DIRECTORY', path: directory } as const
  const asked = { actor, now: new Date() }
  const job = await restoreAsFiles(service.database, { recoveryPointId, target, databases: null, ...how, ...asked })
  expect(await service.ended(job.id)).toMatchObject({ error: null })
  const manifest = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'))
  for (const { file, sizeBytes, sha256 } of manifest.files) {
    expect((await stat(join(directory, file))).size, file).toBe(sizeBytes)
    expect(
      createHash('sha256')
        .update(await readFile(join(directory, file)))
        .digest('hex'),
      file,
    ).toBe(sha256)
  }
  return { text: await readFile(join(directory, 'RESTORE.md'), 'utf8'), manifest }
}

test('what RESTORE.md says is pasted into a shell, and a fresh server holds the same', { timeout: 150_000 }, async ({
  databaseUrl,
  folder,
}) => {
  await using source = await sourceServer()
  await fill(source)
  await using service = await startService({ databaseUrl, folder })
  const { point } = await backedUp(service, source, folder)
  for (const format of ['CUSTOM', 'PLAIN'] as const) {
    await using target = await sourceServer()
    const directory = join(folder, `restored ${format}`)
    const { text } = await restored(service, point.id, directory, { format })
    expect(await readFile(join(directory, 'globals.sql'), 'utf8')).not.toMatch(/^[^-]*azure_pg_admin/m)
    await paste(target, directory, blocksOf(text))
    for (const database of ['postgres', nastyName]) {
      expect(await contentsOf(target, database), `${format} ${database}`).toEqual(await contentsOf(source, database))
    }
    const facts = `select pg_get_userbyid(datdba) as owner, datconnlimit, shobj_description(oid, 'pg_database') as comment,
      (select setconfig from pg_db_role_setting where setdatabase = d.oid and setrole = 0) as settings
      from pg_database d where datname = current_database()`
    expect(await run(target, nastyName, facts), format).toEqual(await run(source, nastyName, facts))
    const tables = `select schemaname, tablename, tableowner from pg_tables where schemaname !~ '^(pg_|information)' order by 1, 2`
    expect(await run(target, nastyName, tables), format).toEqual(await run(source, nastyName, tables))
    const roles = `select rolname, rolconnlimit, rolinherit, rolcanlogin, rolconfig from pg_roles
      where rolname !~ '^(pg_|azure_)' and not rolsuper order by 1`
    expect(await run(target, 'postgres', roles), format).toEqual(await run(source, 'postgres', roles))
  }
})

test('a part is written as SQL that loads alone, and its manifest tells of no other table', {
  timeout: 90_000,
}, async ({ databaseUrl, folder }) => {
  await using source = await sourceServer()
  await using target = await sourceServer()
  await fill(source)
  await run(
    source,
    nastyName,
    'create table keys (id int primary key); alter table sales.orders add column key int references keys',
  )
  await using service = await startService({ databaseUrl, folder })
  const { point } = await backedUp(service, source, folder)
  const part = { database: nastyName, schemas: ['sales'], tables: [] }
  const asked = { recoveryPointId: point.id, databases: null, part, actor, now: new Date() }
  const custom = { target: { kind: 'DIRECTORY', path: join(folder, 'custom') }, format: 'CUSTOM' } as const
  await expect(restoreAsFiles(service.database, { ...asked, ...custom })).rejects.toMatchObject({ field: 'part' })
  const directory = join(folder, 'a part')
  const { text, manifest } = await restored(service, point.id, directory, { format: 'PLAIN', part })
  expect(manifest).toMatchObject({
    restore: {
      format: 'PLAIN',
      part: { schemas: ['sales'] },
      omitted: [
        expect.stringMatching(/^FK CONSTRAINT .* needs TABLE "public"."keys", which is not in the part: it was/),
      ],
    },
    databases: [{ tables: [{ schema: 'sales', name: 'orders', rows: 500 }] }],
  })
  await paste(target, directory, blocksOf(text))
  const { 'sales.orders': orders } = await contentsOf(source, nastyName)
  expect(await contentsOf(target, nastyName)).toEqual({ 'sales.orders': orders })
})

test('a cut file is found by the check of RESTORE.md', async ({ databaseUrl, folder, source }) => {
  await using service = await startService({ databaseUrl, folder })
  const { point } = await backedUp(service, source, folder)
  const directory = join(folder, 'restored')
  const { text } = await restored(service, point.id, directory, { format: 'CUSTOM' })
  const check = blocksOf(text).slice(0, blocksOf(text).indexOf('psql'))
  await paste(source, directory, check)
  await promisify(execFile)('truncate', ['--size=-1', join(directory, 'globals.sql')])
  await expect(paste(source, directory, check)).rejects.toThrow(/globals.sql/)
})
