import { access, chmod, mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import postgres from 'postgres'
import { type Cluster, startCluster } from '../../src/cluster/start.ts'

/** The folder of the newest PostgreSQL programs that are installed. */
export async function installedPrograms(): Promise<string> {
  const home = '/usr/lib/postgresql'
  const majors = (await readdir(home)).map(Number).filter((major) => major > 0)
  const binDir = join(home, String(Math.max(...majors)), 'bin')
  await access(join(binDir, 'pg_dump'))
  return binDir
}

/** A private server with a database "bench" of about the given size: text that compresses about threefold, in two tables. */
export async function startSource(dataDir: string, megabytes: number): Promise<Cluster> {
  await mkdir(dirname(dataDir), { recursive: true })
  await chmod(dirname(dataDir), 0o711)
  const cluster = await startCluster({
    binDir: await installedPrograms(),
    dataDir,
    superuser: 'bench',
    password: 'bench password',
    settings: {
      fsync: 'off',
      full_page_writes: 'off',
      shared_buffers: '512MB',
      max_wal_size: '4GB',
      autovacuum: 'off',
    },
  })
  const admin = postgres(cluster.url('postgres'), { max: 1, onnotice: () => {} })
  await admin`create database bench`
  await admin.end()
  const sql = postgres(cluster.url('bench'), { max: 1, onnotice: () => {} })
  // About 250 bytes a row on disk.
  const rows = Math.round((megabytes * 1_000_000) / 250)
  await sql.unsafe(`create table entries as
    select i as id, now() - i * interval '1 second' as at, 'user-' || (i % 5000) as who, md5(i::text) as token,
      'The quick brown fox number ' || i || ' jumps over the lazy dog ' || md5((i * 7)::text) || ' and goes on' as text,
      random() * 1000 as amount
    from generate_series(1, ${rows}) i`)
  await sql.unsafe('create table small as select i as id, md5(i::text) as text from generate_series(1, 10000) i')
  await sql.unsafe('vacuum analyze')
  await sql.end()
  return cluster
}
