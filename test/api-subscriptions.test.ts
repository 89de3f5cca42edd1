import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { requestCancel } from '../src/job/cancel.ts'
import { changeJobs } from '../src/job/change.ts'
import { encodeFeedCursor } from '../src/job/events.ts'
import type { JobRow } from '../src/job/states.ts'
import { type Answer, type Api, at, listAt, startApi } from './kit/api.ts'
import { addInstance } from './kit/catalogue.ts'
import { enqueue } from './kit/runner.ts'
import { waitFor, within } from './kit/wait-for.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const idOf = (job: { id: string }) => encodeNodeId('Job', job.id)

/** Appends one event to a job, as a worker would. */
async function happen(job: JobRow, message: string, type: 'NOTED' | 'WARNED' = 'NOTED'): Promise<void> {
  await api.database.transaction(async (tx) => {
    await changeJobs(tx, eq(jobs.id, job.id), {}, [{ type, data: { message } }])
  })
}

/** The next answers of a stream. */
async function take(stream: AsyncIterator<Answer>, count: number): Promise<unknown[]> {
  const taken: unknown[] = []
  while (taken.length < count) {
    const { done, value } = await within(`answer ${taken.length + 1} of ${count}`, stream.next())
    if (done) break
    expect(value.errors).toBeUndefined()
    taken.push(value.data)
  }
  return taken
}

/** Waits until no transaction of any test on the same server is older than the last event: "now" begins behind it. */
async function feedIsPast(): Promise<void> {
  await waitFor('older transactions to end', async () => {
    const [row] = await api.database.execute<{ is_past: boolean }>(
      'select pg_snapshot_xmin(pg_current_snapshot()) > max(transaction_id) as is_past from job_events',
    )
    return row?.is_past
  })
}

const jobChanged =
  'subscription ($id: ID!) { jobChanged(id: $id) { status events(last: 1) { nodes { type message } } } }'
const jobEvents = `subscription ($filter: JobEventFilter, $after: Cursor) { jobEvents(filter: $filter, after: $after) {
  cursor sequence type at status attempt message job { id } subTask { name } progress { bytesDone } error { code } nextAttemptAt } }`

describe('jobChanged', () => {
  test('sends the present state, then every change, and completes when the job has ended', async () => {
    const job = await enqueue(api.database)
    const stream = api.watch(jobChanged, { id: idOf(job) })
    expect(await take(stream, 1)).toEqual([
      { jobChanged: { status: 'QUEUED', events: { nodes: [{ type: 'QUEUED', message: null }] } } },
    ])
    await happen(job, 'The tools were chosen.')
    expect(await take(stream, 1)).toEqual([
      { jobChanged: { status: 'QUEUED', events: { nodes: [{ type: 'NOTED', message: 'The tools were chosen.' }] } } },
    ])
    await requestCancel(api.database, { jobId: job.id, actor: 'tester', now: new Date() })
    expect(await take(stream, 2)).toMatchObject([{ jobChanged: { status: 'CANCELLED' } }])
    await stream.end()
    expect(api.openStreams()).toBe(0)
  })

  test('of a job that has ended sends it once', async () => {
    const job = await enqueue(api.database)
    await requestCancel(api.database, { jobId: job.id, actor: 'tester', now: new Date() })
    const stream = api.watch(jobChanged, { id: idOf(job) })
    expect(await take(stream, 2)).toMatchObject([{ jobChanged: { status: 'CANCELLED' } }])
    await stream.end()
  })

  test.each([
    ['is not there', encodeNodeId('Job', '00000000-0000-4000-8000-000000000000')],
    ['is no job', encodeNodeId('Vault', '00000000-0000-4000-8000-000000000000')],
    ['is no id', 'x'],
  ])('of what %s is refused', async (_what, id) => {
    const stream = api.watch(jobChanged, { id })
    // The answer of a subscription that could not begin is one of errors alone.
    const answer = await within(
      'a refusal',
      stream.next().catch((errors) => errors),
    )
    expect(JSON.stringify(answer)).toContain('BAD_USER_INPUT')
    await stream.end()
    expect(api.openStreams()).toBe(0)
  })

  test('is freed when the client goes while nothing happens', async () => {
    const job = await enqueue(api.database)
    const stream = api.watch(jobChanged, { id: idOf(job) })
    await take(stream, 1)
    expect(api.openStreams()).toBe(1)
    await stream.end()
    await waitFor('the stream to be freed', () => api.openStreams() === 0)
  })

  test('is served as server-sent events, and freed when that client goes', async () => {
    const job = await enqueue(api.database)
    const gone = new AbortController()
    const response = await fetch(api.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: jobChanged, variables: { id: idOf(job) } }),
      signal: gone.signal,
    })
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    await waitFor('the present state', async () => {
      text += (await reader?.read())?.value ?? ''
      return text.includes('"QUEUED"')
    })
    await happen(job, 'noticed over SSE')
    await waitFor('the change', async () => {
      text += (await reader?.read())?.value ?? ''
      return text.includes('noticed over SSE')
    })
    expect(api.openStreams()).toBe(1)
    gone.abort()
    await waitFor('the stream to be freed', () => api.openStreams() === 0)
  })
})

describe('jobEvents', () => {
  test('of one job sends all that happened to it, then what happens', async () => {
    const job = await enqueue(api.database)
    await enqueue(api.database)
    await happen(job, 'one')
    const stream = api.watch(jobEvents, { filter: { job: idOf(job) } })
    expect(await take(stream, 2)).toMatchObject([
      {
        jobEvents: {
          sequence: 1,
          type: 'QUEUED',
          status: 'QUEUED',
          attempt: 0,
          job: { id: idOf(job) },
          progress: null,
        },
      },
      { jobEvents: { sequence: 2, type: 'NOTED', message: 'one', error: null, subTask: null, nextAttemptAt: null } },
    ])
    await happen(job, 'two')
    expect(await take(stream, 1)).toMatchObject([{ jobEvents: { sequence: 3, message: 'two' } }])
    await stream.end()
    await waitFor('the stream to be freed', () => api.openStreams() === 0)
  })

  test('goes on after a cursor as if it had never been away', async () => {
    const job = await enqueue(api.database)
    await happen(job, 'one')
    const first = api.watch(jobEvents, { filter: { job: idOf(job) } })
    const cursors = (await take(first, 2)).map((data) => at(data, 'jobEvents.cursor'))
    await first.end()
    await Promise.all(['two', 'three', 'four'].map((message) => happen(job, message)))
    const again = api.watch(jobEvents, { after: cursors[0] })
    const seen = await take(again, 4)
    expect(seen.map((data) => at(data, 'jobEvents.sequence'))).toEqual([2, 3, 4, 5])
    await again.end()
    const events = await api.ask('query ($id: ID!) { job(id: $id) { events { nodes { cursor } } } }', { id: idOf(job) })
    expect(listAt(events, 'data.job.events.nodes').map(({ cursor }) => cursor)).toEqual([
      cursors[0],
      ...seen.map((data) => at(data, 'jobEvents.cursor')),
    ])
  })

  test('goes on after a cursor when the API was restarted meanwhile', async () => {
    const job = await enqueue(api.database)
    let cursor: unknown
    {
      await using earlier = await startApi(api)
      const stream = earlier.watch(jobEvents, { filter: { job: idOf(job) } })
      cursor = at((await take(stream, 1))[0], 'jobEvents.cursor')
      await stream.end()
    }
    await happen(job, 'while nobody listened')
    const stream = api.watch(jobEvents, { filter: { job: idOf(job) }, after: cursor })
    expect(await take(stream, 1)).toMatchObject([{ jobEvents: { sequence: 2, message: 'while nobody listened' } }])
    await stream.end()
  })

  test('misses nothing when the connection for notifications is lost', async () => {
    const job = await enqueue(api.database)
    const stream = api.watch(jobEvents, { filter: { job: idOf(job) } })
    await take(stream, 1)
    await api.database.execute(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'holdfast listener'",
    )
    await happen(job, 'while it was lost')
    expect(await take(stream, 1)).toMatchObject([{ jobEvents: { sequence: 2, message: 'while it was lost' } }])
    await happen(job, 'later')
    expect(await take(stream, 1)).toMatchObject([{ jobEvents: { sequence: 3, message: 'later' } }])
    await stream.end()
  })

  test('without a cursor or a job begins with what happens from now on', async () => {
    const instance = await addInstance(api)
    const subject = { instanceId: instance.id, vaultId: instance.vaultId }
    const before = await enqueue(api.database, { subject })
    await feedIsPast()
    const stream = api.watch(jobEvents)
    const next = take(stream, 1)
    await waitFor('the stream to begin', () => api.openStreams() === 1)
    await happen(before, 'now')
    expect(await next).toMatchObject([{ jobEvents: { sequence: 2, message: 'now' } }])
    await stream.end()
  })

  test.each([
    ['its instance', (of: JobRow) => ({ instance: encodeNodeId('BackupInstance', of.instanceId ?? '') })],
    ['its vault', (of: JobRow) => ({ vault: encodeNodeId('Vault', of.vaultId ?? '') })],
    ['its kind of work', (of: JobRow) => ({ operation: [of.operation] })],
    ['its type', () => ({ type: ['WARNED'] })],
  ])('is filtered by %s', async (_what, filter) => {
    const instance = await addInstance(api)
    const subject = { instanceId: instance.id, vaultId: instance.vaultId }
    const job = await enqueue(api.database, { subject, operation: 'VERIFY' })
    const other = await enqueue(api.database)
    await feedIsPast()
    const stream = api.watch(jobEvents, { filter: filter(job) })
    const next = take(stream, 1)
    await waitFor('the stream to begin', () => api.openStreams() === 1)
    await happen(other, 'not asked for')
    await happen(job, 'asked for', 'WARNED')
    expect(await next).toMatchObject([{ jobEvents: { type: 'WARNED', job: { id: idOf(job) } } }])
    await stream.end()
  })

  test('refuses a cursor from before an older copy took the place of the database', async () => {
    const job = await enqueue(api.database)
    const after = encodeFeedCursor({ transactionId: 2n ** 62n, id: 1n })
    const stream = api.watch(jobEvents, { filter: { job: idOf(job) }, after })
    const answer = await within(
      'a refusal',
      stream.next().catch((errors) => errors),
    )
    expect(JSON.stringify(answer)).toMatch(/of another database.*begin without a cursor.*BAD_USER_INPUT/)
    await stream.end()
  })

  test('refuses a cursor that is not of this stream', async () => {
    const job = await enqueue(api.database)
    const { data } = await api.ask('{ jobs { pageInfo { endCursor } } }')
    for (const after of ['AAAA', at(data, 'jobs.pageInfo.endCursor')]) {
      const stream = api.watch(jobEvents, { filter: { job: idOf(job) }, after })
      const answer = await within(
        'a refusal',
        stream.next().catch((errors) => errors),
      )
      expect(JSON.stringify(answer)).toContain('BAD_USER_INPUT')
      await stream.end()
    }
    expect(api.openStreams()).toBe(0)
  })
})
