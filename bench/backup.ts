import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { startHoldfast } from './kit/holdfast.ts'
import { median, row } from './kit/report.ts'
import { installedPrograms, startSource } from './kit/source.ts'

const run = promisify(execFile)
const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const megabytes = Number(process.env.BENCH_MEGABYTES ?? 1000)

/**
 * A whole backup by Holdfast (dump, compress, seal, digest, read back, record) beside pg_dump alone, in turns, on the
 * same server and disk. Prints medians and ratios, and the peak memory of Holdfast's process.
 */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using source = await startSource(join(folder, 'source'), megabytes)
    await using holdfast = await startHoldfast(join(folder, 'holdfast'))
    const programs = await installedPrograms()
    const environment = {
      PATH: `${programs}:${process.env.PATH}`,
      PGHOST: source.host,
      PGPORT: String(source.port),
      PGUSER: source.superuser,
      PGPASSWORD: source.password,
      PGDATABASE: 'bench',
    }
    const instanceId = await holdfast.protect(source, join(folder, 'vault'))
    await mkdir(join(folder, 'peer'))
    const peer = join(folder, 'peer', 'dump')
    const peers = {
      'pg_dump -Fc -Z0 | zstd -1': `set -o pipefail; pg_dump -Fc -Z0 | zstd -1 -q -f -o ${peer}`,
      'pg_dump -Fc (gzip)': `pg_dump -Fc -f ${peer}`,
    }
    const wall = new Map<string, number[]>()
    const add = (name: string, ms: number) => wall.set(name, [...(wall.get(name) ?? []), ms])
    await warmUp(source.url('bench'))
    for (let round = 1; round <= rounds; round++) {
      add('Holdfast', await holdfast.backUp(instanceId))
      for (const [name, command] of Object.entries(peers)) {
        const startedAt = performance.now()
        await run('bash', ['-c', command], { env: environment })
        add(name, performance.now() - startedAt)
        await rm(peer)
      }
      process.stderr.write(`round ${round} of ${rounds} done\n`)
    }
    const ours = median(wall.get('Holdfast') ?? [])
    for (const [name, each] of wall)
      row(name, `${(median(each) / 1000).toFixed(1)} s`, `ours is ${(ours / median(each)).toFixed(2)} x`)
    row('peak memory of Holdfast', `${Math.round((await peakMemoryBytes(holdfast.pid)) / 2 ** 20)} MiB`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function warmUp(url: string): Promise<void> {
  const sql = postgres(url, { max: 1 })
  await sql`select count(*) from entries`
  await sql.end()
}

async function peakMemoryBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
}

await main()
