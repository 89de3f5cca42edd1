import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { connectDatabase } from '../src/database/connect.ts'
import { startEmbeddedDatabase } from '../src/database/embedded.ts'
import { migrateDatabase } from '../src/database/migrate.ts'
import { usualRetentionLimits } from '../src/policy/check-rules.ts'
import { createPolicy } from '../src/policy/create.ts'
import { type RevisePolicy, revisePolicy } from '../src/policy/revise.ts'
import { seedHistory } from './kit/history.ts'
import { median, row } from './kit/report.ts'

const sizes = [1_000, 10_000, 100_000]
const rounds = Number(process.env.BENCH_ROUNDS ?? 3)

/** How long it takes to revise a policy that many instances follow: its schedule, so that all are planned anew, or its retention alone. */
async function main(): Promise<void> {
  row('instances that follow', 'of the schedule', 'of the retention alone')
  for (const size of sizes) {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
    try {
      const { schedule, retention } = await measure(folder, size)
      row(String(size), `${schedule.toFixed(0)} ms`, `${retention.toFixed(0)} ms`)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

async function measure(folder: string, size: number): Promise<{ schedule: number; retention: number }> {
  await using embedded = await startEmbeddedDatabase({ dataDirectory: folder })
  await migrateDatabase(embedded.url)
  await using connection = connectDatabase(embedded.url)
  const { database } = connection
  const about = { actor: 'bench', now: new Date('2026-03-01T12:00:00Z') }
  const policy = await createPolicy(database, { name: 'nightly', defaultRetention: 'P30D', ...about })
  await seedHistory(embedded.url, { instances: size, withHistory: 0 })
  const timed = async (changes: RevisePolicy['changes']) => {
    const startedAt = performance.now()
    const { instanceCount } = await revisePolicy(database, {
      policyId: policy.id,
      expectedVersion: null,
      changes,
      limits: usualRetentionLimits,
      dryRun: false,
      ...about,
    })
    const tookMs = performance.now() - startedAt
    if (instanceCount !== size) throw new Error(`${instanceCount} instances were moved instead of ${size}.`)
    await database.execute(sql`vacuum analyze backup_instances`)
    return tookMs
  }
  const [schedules, retentions]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    schedules.push(await timed({ schedule: { kind: 'DAILY', times: [`0${round}:00`], spreadMinutes: 60 } }))
    retentions.push(await timed({ defaultRetention: `P${40 + round}D` }))
  }
  return { schedule: median(schedules), retention: median(retentions) }
}

await main()
