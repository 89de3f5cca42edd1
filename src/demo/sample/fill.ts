import { readFile } from 'node:fs/promises'
import type { Cluster } from '../../cluster/start.ts'
import { withConnection } from '../connect.ts'

/** The role of the sample server that Holdfast backs up with: it may read everything and change nothing. */
export const backupRole = { username: 'holdfast_backup', password: 'sample-holdfast-backup' }

/** What the data below come to on disk at scale 1, in megabytes. */
const megabytesAtScaleOne = 310

const databases = [
  {
    name: 'shop',
    file: 'shop.sql',
    create: `create database shop owner shop_owner;
      comment on database shop is 'Catalogue, customers and orders.';
      alter database shop set default_text_search_config = 'pg_catalog.german';
      alter database shop set timezone = 'Europe/Berlin';
      revoke connect on database shop from public;
      grant connect on database shop to shop_reader, shop_app;
      alter role shop_app in database shop set search_path = sales, public;
      grant connect on database shop to holdfast_backup`,
  },
  {
    name: 'café "orders"',
    file: 'cafe.sql',
    create: `create database "café ""orders""" owner "Analyst ""Zoë""";
      comment on database "café ""orders""" is 'Names with quotes, spaces and other scripts.'`,
  },
  {
    name: 'metrics',
    file: 'metrics.sql',
    create: `create database metrics connection limit 50;
      alter database metrics set work_mem = '16MB'`,
  },
  {
    name: 'archive 1998',
    file: 'archive.sql',
    create: `create database "archive 1998" template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'`,
  },
]

/**
 * Fills an empty PostgreSQL server (15 or newer, with the contrib extensions) with several databases of varied data: about
 * as many megabytes on disk as asked for. The same names, kinds and counts every time; the contents partly random.
 */
export async function fillSampleServer(
  server: Cluster,
  { megabytes, signal }: { megabytes: number; signal: AbortSignal },
): Promise<void> {
  const settings = { 'sample.scale': String(megabytes / megabytesAtScaleOne), maintenance_work_mem: '128MB' }
  // One failing stops the other, and both are over when this returns.
  const failing = new AbortController()
  const either = AbortSignal.any([signal, failing.signal])
  const fill = ({ name, file }: { name: string; file: string }) =>
    withConnection(server, { database: name, settings, signal: either }, async (sql) => {
      await sql.unsafe(await sampleFile(file))
      await sql.unsafe('vacuum analyze')
    })
  await withConnection(server, { database: 'postgres', signal }, async (sql) => {
    await sql.unsafe(await sampleFile('roles.sql'))
    for (const { create } of databases) for (const statement of create.split(';')) await sql.unsafe(statement)
  })
  // The first is as large as the others together, so two run side by side.
  const [largest, ...others] = databases
  const sides = [largest ? [largest] : [], others].map(async (side) => {
    for (const each of side) await fill(each)
  })
  for (const side of sides) side.catch((cause: unknown) => failing.abort(cause))
  await Promise.allSettled(sides)
  await Promise.all(sides)
}

function sampleFile(name: string): Promise<string> {
  return readFile(new URL(`${name}`, import.meta.url), 'utf8')
}
