import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { type Holdfast, startHoldfast } from './kit/holdfast.ts'
import { median, row } from './kit/report.ts'
import { installedPrograms, startSource } from './kit/source.ts'

const run = promisify(execFile)
const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const megabytes = Number(process.env.BENCH_MEGABYTES ?? 1000)

/**
 * A whole restore into a server by Holdfast (check, unseal, unpack, load, count, compare, name) beside `pg_restore -j2` of
 * a local uncompressed archive of the same data, in turns, into the same server; and one small table of the point alone.
 */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using source = await startSource(join(folder, 'source'), megabytes)
    await using holdfast = await startHoldfast(join(folder, 'holdfast'))
    const environment = {
      PATH: `${await installedPrograms()}:${process.env.PATH}`,
      PGHOST: source.host,
      PGPORT: String(source.port),
      PGUSER: source.superuser,
      PGPASSWORD: source.password,
    }
    await inDatabase(source.url('bench'), 'create index on entries (id)', 'create index on entries (who, at)')
    await holdfast.backUp(await holdfast.protect(source, join(folder, 'vault')))
    await mkdir(join(folder, 'peer'))
    const archive = join(folder, 'peer', 'archive')
    await run('pg_dump', ['-Fc', '-Z0', '-f', archive, 'bench'], { env: environment })
    const wall = new Map<string, number[]>()
    const time = async (name: string, work: () => Promise<unknown>) => {
      const startedAt = performance.now()
      await work()
      wall.set(name, [...(wall.get(name) ?? []), performance.now() - startedAt])
      await inDatabase(source.url('postgres'), 'drop database copy', 'checkpoint')
    }
    const part = { database: 'bench', tables: [{ schema: 'public', name: 'small' }] }
    for (let round = 1; round <= rounds; round++) {
      await time('Holdfast', () => restore(holdfast, {}))
      await time('pg_restore -j2', async () => {
        await inDatabase(source.url('postgres'), 'create database copy template template0')
        await run('pg_restore', ['-j2', '-d', 'copy', archive], { env: environment })
      })
      await time('Holdfast, one small table', () => restore(holdfast, { part }))
      process.stderr.write(`round ${round} of ${rounds} done\n`)
    }
    const ours = median(wall.get('Holdfast') ?? [])
    for (const [name, each] of wall)
      row(name, `${(median(each) / 1000).toFixed(1)} s`, `ours is ${(ours / median(each)).toFixed(2)} x`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function inDatabase(url: string, ...statements: string[]): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  for (const statement of statements) await sql.unsafe(statement)
  await sql.end()
}

async function restore(holdfast: Holdfast, input: Record<string, unknown>): Promise<void> {
  const { recoveryPoints, servers } = await holdfast.ask(
    '{ recoveryPoints(first: 1) { nodes { id } } servers(first: 1) { nodes { id } } }',
  )
  const { restoreToServer } = await holdfast.ask(
    `mutation ($input: RestoreToServerInput!) {
      restoreToServer(input: $input) { ... on RestoreToServerPayload { job { id } } ... on Refusal { message } } }`,
    {
      input: {
        recoveryPoint: firstIdIn(recoveryPoints),
        server: firstIdIn(servers),
        databases: [{ name: 'bench', targetName: 'copy' }],
        ...input,
      },
    },
  )
  const { job }: { job?: { id: string } } = restoreToServer ?? {}
  if (!job) throw new Error(JSON.stringify(restoreToServer))
  await holdfast.ended(job.id)
}

function firstIdIn(connection: { nodes: { id: string }[] } | undefined): string {
  const [first] = connection?.nodes ?? []
  if (!first) throw new Error('There is none.')
  return first.id
}

await main()
