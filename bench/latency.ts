import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { startHoldfast } from './kit/holdfast.ts'
import { median, quantile, row } from './kit/report.ts'
import { startSource } from './kit/source.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 40)

/**
 * How soon a backup that was asked for runs, and how soon a subscriber hears of an event after it was written, both by
 * the clock of this machine, through HTTP and WebSocket.
 */
async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    await using source = await startSource(join(folder, 'source'), 1)
    await using holdfast = await startHoldfast(join(folder, 'holdfast'))
    const instanceId = await holdfast.protect(source, join(folder, 'vault'))
    const client = createClient({ url: holdfast.url.replace('http', 'ws'), webSocketImpl: WebSocket })
    const heardMs: number[] = []
    client.subscribe<{ jobEvents: { at: string } }>(
      { query: 'subscription { jobEvents { at type } }' },
      {
        next: ({ data }) => heardMs.push(Date.now() - Date.parse(data?.jobEvents.at ?? '')),
        error: (cause) => process.stderr.write(`${String(cause)}\n`),
        complete: () => {},
      },
    )
    const runningMs: number[] = []
    for (let round = 0; round < rounds; round++) {
      const { backUpNow } = await holdfast.ask(
        'mutation ($input: BackUpNowInput!) { backUpNow(input: $input) { ... on BackUpNowPayload { job { id } } } }',
        { input: { backupInstance: instanceId } },
      )
      const answeredAt = Date.now()
      const { id }: { id: string } = Object(backUpNow).job
      await holdfast.ended(id)
      const { job } = await holdfast.ask('query ($id: ID!) { job(id: $id) { startedAt } }', { id })
      runningMs.push(Date.parse(Object(job).startedAt) - answeredAt)
    }
    await client.dispose()
    // The first events are those written before the subscription was there.
    const live = heardMs.filter((ms) => ms < 5000)
    row('backUpNow answered to job running', `p50 ${median(runningMs)} ms`, `p99 ${quantile(runningMs, 0.99)} ms`)
    row(
      'event written to subscriber',
      `p50 ${median(live)} ms`,
      `p99 ${quantile(live, 0.99)} ms`,
      `${live.length} events`,
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

await main()
