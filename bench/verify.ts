import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Holdfast, startHoldfast } from './kit/holdfast.ts'
import { median, row } from './kit/report.ts'
import { startSource } from './kit/source.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const megabytes = Number(process.env.BENCH_MEGABYTES ?? 1000)
const levels = ['READ_BACK', 'DECODED', 'RESTORED'] as const

/**
 * Verifications of a recovery point, at every level, beside the backup that made it, in turns, on the same disk. Prints
 * medians and their share of the backup's wall time, and the peak memory of Holdfast's process.
 */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using source = await startSource(join(folder, 'source'), megabytes)
    await using holdfast = await startHoldfast(join(folder, 'holdfast'))
    const instanceId = await holdfast.protect(source, join(folder, 'vault'))
    const wall = new Map<string, number[]>()
    const add = (name: string, ms: number) => wall.set(name, [...(wall.get(name) ?? []), ms])
    for (let round = 1; round <= rounds; round++) {
      add('backup', await holdfast.backUp(instanceId))
      for (const level of levels) add(level, await verifyLatest(holdfast, instanceId, level))
      process.stderr.write(`round ${round} of ${rounds} done\n`)
    }
    const backup = median(wall.get('backup') ?? [])
    for (const [name, each] of wall)
      row(name, `${(median(each) / 1000).toFixed(2)} s`, `${(median(each) / backup).toFixed(2)} x the backup`)
    row('peak memory of Holdfast', `${Math.round((await peakMemoryBytes(holdfast.pid)) / 2 ** 20)} MiB`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Verifies an instance's latest point; resolves with the wall time from the request to the job's end, ms. */
async function verifyLatest(holdfast: Holdfast, instanceId: string, level: (typeof levels)[number]): Promise<number> {
  const { backupInstance } = await holdfast.ask(
    'query ($id: ID!) { backupInstance(id: $id) { latestRecoveryPoint { id } } }',
    { id: instanceId },
  )
  const startedAt = performance.now()
  const { verifyRecoveryPoint } = await holdfast.ask(
    `mutation ($input: VerifyRecoveryPointInput!) { verifyRecoveryPoint(input: $input) {
      ... on VerifyRecoveryPointPayload { job { id } } ... on Refusal { message } } }`,
    { input: { recoveryPoint: idIn(backupInstance, 'latestRecoveryPoint'), level } },
  )
  await holdfast.ended(idIn(verifyRecoveryPoint, 'job'))
  return performance.now() - startedAt
}

/** The id below a field of an answer; throws with the whole answer when there is none. */
function idIn(answer: unknown, field: string): string {
  const value = Object(answer)[field]?.id
  if (typeof value !== 'string') throw new Error(JSON.stringify(answer))
  return value
}

async function peakMemoryBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
}

await main()
