import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { connectDatabase, type Database } from '../src/database/connect.ts'
import { encodeFeedCursor } from '../src/database/feed.ts'
import { notificationDeliveries } from '../src/database/tables/notification.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type NewNotification, recordNotification } from '../src/notification/record.ts'
import { type Answer, type Api, at, listAt, startApi, textAt } from './kit/api.ts'
import { addInstance } from './kit/catalogue.ts'
import { addWebhook } from './kit/channels.ts'
import { enqueue } from './kit/runner.ts'
import { waitFor, within } from './kit/wait-for.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

function tell(message: string, rest: Partial<NewNotification> = {}, database: Database = api.database) {
  return database.transaction((tx) =>
    recordNotification(tx, {
      kind: 'BACKUP_FAILED',
      severity: 'ERROR',
      message,
      about: {},
      now: api.clock.now,
      ...rest,
    }),
  )
}

/** The next messages of a stream. */
async function take(stream: AsyncIterator<Answer>, count: number): Promise<{ message: unknown; cursor: unknown }[]> {
  const taken: { message: unknown; cursor: unknown }[] = []
  while (taken.length < count) {
    const { done, value } = await within(`notification ${taken.length + 1} of ${count}`, stream.next())
    if (done) break
    expect(value.errors).toBeUndefined()
    taken.push({ message: at(value, 'data.notifications.message'), cursor: at(value, 'data.notifications.cursor') })
  }
  return taken
}

/** Waits until no transaction of any test on the same server is older than the last notification: "now" begins behind it. */
async function feedIsPast(): Promise<void> {
  await waitFor('older transactions to end', async () => {
    const [row] = await api.database.execute<{ is_past: boolean }>(
      'select pg_snapshot_xmin(pg_current_snapshot()) > max(transaction_id) as is_past from notifications',
    )
    return row?.is_past
  })
}

const watched = 'subscription ($after: Cursor) { notifications(after: $after) { message cursor kind severity } }'
/** The place before the first notification. */
const beginning = Buffer.from('n0.0').toString('base64url')

describe('the feed of notifications', () => {
  test('begins with what happens from now on, and goes on after a cursor as if it had never been away', async () => {
    await tell('before')
    await feedIsPast()
    const first = api.watch(watched)
    const next = take(first, 1)
    await waitFor('the stream to begin', () => api.openStreams() === 1)
    await tell('one')
    const [one] = await next
    expect(one?.message).toBe('one')
    await first.end()
    await waitFor('the stream to be freed', () => api.openStreams() === 0)
    await tell('two')
    await tell('three')
    const again = api.watch(watched, { after: one?.cursor })
    expect((await take(again, 2)).map(({ message }) => message)).toEqual(['two', 'three'])
    await tell('four')
    expect((await take(again, 1)).map(({ message }) => message)).toEqual(['four'])
    await again.end()
  })

  test('loses nothing while eight writers write and the reader comes back again and again', async () => {
    await using writers = connectDatabase(api.databaseUrl, { maxConnections: 8 })
    const write = async (writer: number) => {
      for (let round = 0; round < 20; round++) {
        await writers.database.transaction(async (tx) => {
          await tell(`${writer}.${round}`, {}, tx)
          // Commits come in another order than the notifications were numbered in.
          if (round % 3 === 0) await tx.execute(`select pg_sleep(${(writer % 5) / 200})`)
        })
      }
    }
    const writing = Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)))
    const seen: string[] = []
    let after: unknown = beginning
    while (seen.length < 160) {
      const stream = api.watch(watched, { after })
      const taken = await take(stream, Math.min(32, 160 - seen.length))
      seen.push(...taken.map(({ message }) => String(message)))
      after = taken.at(-1)?.cursor
      await stream.end()
    }
    await writing
    expect(new Set(seen).size).toBe(160)
    for (let writer = 0; writer < 8; writer++) {
      const own = seen.filter((message) => message.startsWith(`${writer}.`))
      expect(own).toEqual(Array.from({ length: 20 }, (_, round) => `${writer}.${round}`))
    }
  })

  test('waits for a transaction that is slow to commit, and never skips it', async () => {
    const { promise: written, resolve: tellWritten } = Promise.withResolvers<void>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const slow = api.database.transaction(async (tx) => {
      await tell('slow', {}, tx)
      tellWritten()
      await released
    })
    await written
    await tell('quick')
    const stream = api.watch(watched, { after: beginning })
    const both = take(stream, 2)
    await waitFor('the stream to begin', () => api.openStreams() === 1)
    release()
    await slow
    expect((await both).map(({ message }) => message)).toEqual(['slow', 'quick'])
    await stream.end()
  })

  test('misses nothing when the connection for hints is lost', async () => {
    const stream = api.watch(watched, { after: beginning })
    const next = take(stream, 2)
    await tell('one')
    await api.database.execute(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'holdfast listener'",
    )
    await tell('two')
    expect((await next).map(({ message }) => message)).toEqual(['one', 'two'])
    await stream.end()
  })

  test('refuses a cursor of another feed, of a list or of another database', async () => {
    await tell('one')
    await enqueue(api.database)
    const { data } = await api.ask(
      '{ notifications { pageInfo { endCursor } } jobs { nodes { events { nodes { cursor } } } } }',
    )
    const [job] = listAt(data, 'jobs.nodes')
    const [event] = listAt(job, 'events.nodes')
    const ofAnotherDatabase = encodeFeedCursor({ transactionId: 2n ** 62n, id: 1n }, 'n')
    for (const after of ['AAAA', ofAnotherDatabase, at(data, 'notifications.pageInfo.endCursor'), event?.cursor]) {
      const stream = api.watch(watched, { after })
      const answer = await within(
        'a refusal',
        stream.next().catch((errors) => errors),
      )
      expect(JSON.stringify(answer)).toContain('BAD_USER_INPUT')
      await stream.end()
    }
  })
})

describe('the list of notifications', () => {
  const list = `query ($filter: NotificationFilter) { notifications(filter: $filter) { totalCount nodes {
    id at kind severity message recommendedActions subjectName backupInstance { name } vault { name } policy { name } job { id }
    deliveries { status attempts lastResult channel { name } } } } }`

  test('shows what they are about, also when that is gone, and their deliveries', async () => {
    await addWebhook(api.database, { name: 'ops' })
    const instance = await addInstance(api)
    const job = await enqueue(api.database, { subject: { instanceId: instance.id } })
    const about = { instanceId: instance.id, vaultId: instance.vaultId, policyId: instance.policyId, jobId: job.id }
    await tell('about what is there', { about: { ...about, name: instance.name }, recommendedActions: ['Act.'] })
    api.clock.now = new Date(api.clock.now.getTime() + 1000)
    await tell('about what is gone', { about: { instanceId: crypto.randomUUID(), name: 'gone' } })
    const answer = await api.ask(list)
    expect(listAt(answer, 'data.notifications.nodes')).toMatchObject([
      {
        message: 'about what is gone',
        subjectName: 'gone',
        backupInstance: null,
        vault: null,
        policy: null,
        job: null,
      },
      {
        message: 'about what is there',
        recommendedActions: ['Act.'],
        backupInstance: { name: instance.name },
        vault: { name: expect.any(String) },
        policy: { name: 'On demand, 30 days' },
        job: { id: encodeNodeId('Job', job.id) },
        deliveries: [{ status: 'PENDING', attempts: 0, lastResult: null, channel: { name: 'ops' } }],
      },
    ])
    const node = await api.ask('query ($id: ID!) { node(id: $id) { ... on Notification { message } } }', {
      id: listAt(answer, 'data.notifications.nodes')[0]?.id,
    })
    expect(textAt(node, 'data.node.message')).toBe('about what is gone')
  })

  test('is filtered by kind, severity, instance and time', async () => {
    const instance = await addInstance(api)
    await tell('failed', { about: { instanceId: instance.id } })
    await tell('near', { kind: 'PURGE_NEAR', severity: 'WARNING' })
    const later = new Date(api.clock.now.getTime() + 60_000)
    await tell('later', { kind: 'BACKUP_COMPLETED', severity: 'INFO', now: later })
    const messages = async (filter: Record<string, unknown>) => {
      const answer = await api.ask(list, { filter })
      expect(at(answer, 'data.notifications.totalCount')).toBe(listAt(answer, 'data.notifications.nodes').length)
      return listAt(answer, 'data.notifications.nodes').map(({ message }) => message)
    }
    expect(await messages({ kind: ['PURGE_NEAR', 'BACKUP_COMPLETED'] })).toEqual(['later', 'near'])
    expect(await messages({ severity: ['ERROR'] })).toEqual(['failed'])
    expect(await messages({ instance: encodeNodeId('BackupInstance', instance.id) })).toEqual(['failed'])
    expect(await messages({ since: later.toISOString() })).toEqual(['later'])
    expect(await messages({ kind: [] })).toEqual([])
  })

  test('costs as many statements for fifty as for two', async () => {
    await addWebhook(api.database)
    await addWebhook(api.database)
    const instance = await addInstance(api)
    for (let index = 0; index < 50; index++) await tell(`number ${index}`, { about: { instanceId: instance.id } })
    const cost = async (first: number) => {
      const query = `{ notifications(first: ${first}) { nodes { backupInstance { name } job { id } deliveries { status channel { name lastDelivery { status } failingSince } } } } }`
      const counts: number[] = []
      // A subscription of an earlier story may look at its feed in between: the least of three is this query's own.
      for (let time = 0; time < 3; time++) {
        api.statements.length = 0
        expect((await api.ask(query)).errors).toBeUndefined()
        counts.push(api.statements.length)
      }
      return Math.min(...counts)
    }
    expect(await cost(50)).toBe(await cost(2))
    expect(await api.database.$count(notificationDeliveries)).toBe(100)
  })
})
