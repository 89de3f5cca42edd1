import { createHmac, timingSafeEqual } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { notificationChannels, notificationDeliveries } from '../src/database/tables/notification.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { findFailingSince } from '../src/notification/channel/find.ts'
import { rotateSecret } from '../src/notification/channel/rotate-secret.ts'
import { testChannel } from '../src/notification/channel/test.ts'
import { retryDelayMs } from '../src/notification/delivery/retry.ts'
import { recordNotification } from '../src/notification/record.ts'
import { addWebhook, deliveriesThat, plainSecrets, startDeliverer, startHook } from './kit/channels.ts'
import { completed, ended, enqueue, handlerThat, testRunner } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const now = new Date('2026-03-01T12:00:00.000Z')

function tell(database: Database, message: string, about: { jobId?: string; name?: string } = {}) {
  return database.transaction((tx) =>
    recordNotification(tx, {
      kind: 'BACKUP_FAILED',
      severity: 'ERROR',
      message,
      recommendedActions: ['Do this.'],
      about,
      now,
    }),
  )
}

/** Makes what waits for its next attempt due now. */
async function tryAgainNow(database: Database): Promise<void> {
  await database
    .update(notificationDeliveries)
    .set({ nextAttemptAt: new Date(0) })
    .where(eq(notificationDeliveries.status, 'PENDING'))
  await database.execute("select pg_notify('holdfast_notifications', '')")
}

/** What a receiver does, word for word as the README shows it. */
function isFromHoldfast(signingSecret: string, headers: Record<string, unknown>, body: string): boolean {
  const timestamp = headers['holdfast-timestamp']
  const expected = createHmac('sha256', signingSecret).update(`${timestamp}.${body}`).digest('hex')
  const [given, wanted] = [Buffer.from(String(headers['holdfast-signature'])), Buffer.from(`v1=${expected}`)]
  const isSigned = given.length === wanted.length && timingSafeEqual(given, wanted)
  return isSigned && Math.abs(Date.now() / 1000 - Number(timestamp)) < 300
}

describe('a webhook', () => {
  test('is told in signed JSON that a receiver can verify', async ({ databaseUrl, database }) => {
    await using hook = await startHook()
    const { signingSecret } = await addWebhook(database, { url: hook.url })
    await using _deliverer = await startDeliverer(databaseUrl)
    const jobId = crypto.randomUUID()
    const id = await tell(database, 'The backup of "db" failed.', { jobId, name: 'db' })
    const [delivery] = await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
    expect(delivery).toMatchObject({ attempts: 1, lastResult: 'HTTP 204' })
    expect(hook.received).toHaveLength(1)
    const [{ method, path, headers, body } = raise()] = hook.received
    expect([method, path, headers['content-type']]).toEqual([
      'POST',
      '/hook?token=t0ken-of-the-hook',
      'application/json',
    ])
    expect(headers['holdfast-delivery']).toBe(delivery?.id)
    expect(JSON.parse(body)).toEqual({
      id: encodeNodeId('Notification', id ?? ''),
      kind: 'BACKUP_FAILED',
      severity: 'ERROR',
      at: now.toISOString(),
      message: 'The backup of "db" failed.',
      recommendedActions: ['Do this.'],
      subject: { name: 'db', backupInstance: null, vault: null, policy: null, job: encodeNodeId('Job', jobId) },
    })
    expect(isFromHoldfast(signingSecret ?? '', headers, body)).toBe(true)
    expect(isFromHoldfast('another secret', headers, body)).toBe(false)
    expect(isFromHoldfast(signingSecret ?? '', headers, `${body} `)).toBe(false)
  })

  test('that answers 503 is tried again with the same id, later each time, until it takes it', async ({
    databaseUrl,
    database,
  }) => {
    await using hook = await startHook()
    hook.answer = { status: 503 }
    const { channel } = await addWebhook(database, { url: hook.url })
    await using _deliverer = await startDeliverer(databaseUrl)
    await tell(database, 'once')
    const [failed] = await deliveriesThat(database, 'a failed attempt', ({ lastResult }) => lastResult === 'HTTP 503')
    const waitMs = (failed?.nextAttemptAt.getTime() ?? 0) - (failed?.lastAttemptAt?.getTime() ?? 0)
    expect(waitMs).toBeGreaterThanOrEqual(10_000)
    expect(waitMs).toBeLessThan(15_000)
    expect(await findFailingSince(database, [channel.id])).toEqual(new Map([[channel.id, failed?.createdAt]]))
    hook.answer = { status: 200 }
    await tryAgainNow(database)
    const [delivered] = await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
    expect(delivered).toMatchObject({ attempts: 2, lastResult: 'HTTP 200' })
    expect(await findFailingSince(database, [channel.id])).toEqual(new Map())
    expect(hook.received.map(({ headers }) => headers['holdfast-delivery'])).toEqual([delivered?.id, delivered?.id])
    expect(new Set(hook.received.map(({ body }) => body)).size).toBe(1)
  })

  test('that redirects is not followed', async ({ databaseUrl, database }) => {
    await using elsewhere = await startHook()
    await using hook = await startHook()
    hook.answer = { status: 307, location: elsewhere.url }
    await addWebhook(database, { url: hook.url })
    await using _deliverer = await startDeliverer(databaseUrl)
    await tell(database, 'once')
    await deliveriesThat(
      database,
      'a failed attempt',
      ({ lastResult }) => lastResult === 'HTTP 307: redirects are not followed',
    )
    expect(elsewhere.received).toEqual([])
  })

  test('that cannot be reached is told by why, without its URL', async ({ databaseUrl, database }) => {
    const gone = await startHook()
    await gone[Symbol.asyncDispose]()
    await addWebhook(database, { url: gone.url })
    await addWebhook(database, { url: 'https://no-such-host.invalid/t0ken-of-the-hook' })
    await using deliverer = await startDeliverer(databaseUrl)
    await tell(database, 'once')
    const failed = await deliveriesThat(database, 'failed attempts', ({ lastResult }) => lastResult !== null)
    expect(failed.map(({ lastResult }) => lastResult)).toContain('Connection refused')
    expect(JSON.stringify(failed)).not.toContain('t0ken')
    expect(deliverer.logged()).toContain('Connection refused')
    expect(deliverer.logged()).not.toContain('t0ken')
  })

  test('that hangs holds up neither other channels nor jobs, and is given up in time', async ({
    databaseUrl,
    database,
  }) => {
    await using hanging = await startHook()
    hanging.answer = null
    await using quick = await startHook()
    const { channel } = await addWebhook(database, { url: hanging.url })
    await addWebhook(database, { url: quick.url })
    await using _deliverer = await startDeliverer(databaseUrl, { concurrency: 2, timeoutMs: 1_500 })
    for (const message of ['one', 'two', 'three']) await tell(database, message)
    await waitFor('the hanging hook to be asked', () => hanging.received.length === 1)
    await waitFor('the quick hook to have all', () => quick.received.length === 3)
    expect(quick.received.map(({ body }) => JSON.parse(body).message)).toEqual(['one', 'two', 'three'])
    await using worker = await testRunner(
      databaseUrl,
      handlerThat(async () => completed),
    )
    expect(await ended(worker, (await enqueue(database)).id)).toMatchObject({ status: 'COMPLETED' })
    expect(hanging.received).toHaveLength(1)
    await waitFor('the attempt to be given up', async () => {
      const rows = await database
        .select()
        .from(notificationDeliveries)
        .where(eq(notificationDeliveries.channelId, channel.id))
      return rows.some(({ lastResult }) => lastResult === 'No answer within 1.5 s')
    })
  })

  test('gets new requests signed with its new secret alone', async ({ databaseUrl, database }) => {
    await using hook = await startHook()
    const { channel, signingSecret: old } = await addWebhook(database, { url: hook.url })
    const { signingSecret } = await rotateSecret(database, {
      channelId: channel.id,
      secrets: plainSecrets,
      actor: 'ann',
      now,
    })
    await using _deliverer = await startDeliverer(databaseUrl)
    await testChannel(database, { channelId: channel.id, actor: 'ann', now })
    await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
    const [{ headers, body } = raise()] = hook.received
    expect(JSON.parse(body)).toMatchObject({ kind: 'CHANNEL_TEST' })
    expect(isFromHoldfast(signingSecret, headers, body)).toBe(true)
    expect(isFromHoldfast(old ?? '', headers, body)).toBe(false)
  })
})

describe('a delivery', () => {
  test('of a worker that was lost in the middle is made again with the same id', async ({ databaseUrl, database }) => {
    await using hook = await startHook()
    hook.answer = null
    await addWebhook(database, { url: hook.url })
    await using lost = await startDeliverer(databaseUrl)
    await tell(database, 'once')
    await waitFor('the first attempt', () => hook.received.length === 1)
    await lost.lose()
    hook.answer = { status: 204 }
    await using _deliverer = await startDeliverer(databaseUrl)
    const [claimed] = await database.select().from(notificationDeliveries)
    expect(claimed).toMatchObject({ status: 'PENDING', attempts: 1, lastResult: null })
    await tryAgainNow(database)
    const [delivered] = await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
    expect(delivered).toMatchObject({ id: claimed?.id, attempts: 2 })
    expect(hook.received.map(({ headers }) => headers['holdfast-delivery'])).toEqual([claimed?.id, claimed?.id])
  })

  test('under way when the worker stops is handed over at once', async ({ databaseUrl, database }) => {
    await using hook = await startHook()
    hook.answer = null
    await addWebhook(database, { url: hook.url })
    {
      await using _stopping = await startDeliverer(databaseUrl)
      await tell(database, 'once')
      await waitFor('the first attempt', () => hook.received.length === 1)
    }
    hook.answer = { status: 204 }
    await using _deliverer = await startDeliverer(databaseUrl)
    await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
  })

  test('is made by one of many workers, one at a time for each channel and in order', async ({
    databaseUrl,
    database,
  }) => {
    await using hook = await startHook()
    await addWebhook(database, { url: hook.url })
    await using _one = await startDeliverer(databaseUrl)
    await using _two = await startDeliverer(databaseUrl)
    await using _three = await startDeliverer(databaseUrl)
    for (let index = 0; index < 12; index++) await tell(database, `message ${index}`)
    await deliveriesThat(database, 'all deliveries', ({ status }) => status === 'DELIVERED')
    expect(hook.received.map(({ body }) => JSON.parse(body).message)).toEqual(
      Array.from({ length: 12 }, (_, index) => `message ${index}`),
    )
    expect(hook.mostAtOnce()).toBe(1)
  })

  test('is given up after a day of attempts in vain', async ({ databaseUrl, database }) => {
    await using hook = await startHook()
    hook.answer = { status: 500 }
    await addWebhook(database, { url: hook.url })
    await tell(database, 'once')
    const yesterday = new Date(Date.now() - 25 * 60 * 60_000)
    await database.update(notificationDeliveries).set({ createdAt: yesterday, attempts: 28 })
    await using deliverer = await startDeliverer(databaseUrl)
    const [failed] = await deliveriesThat(database, 'the end', ({ status }) => status === 'FAILED')
    expect(failed).toMatchObject({ attempts: 29, lastResult: 'HTTP 500', deliveredAt: null })
    expect(deliverer.logged()).toContain('given up')
  })

  test.for([
    [1, 0, 10_000],
    [2, 0, 30_000],
    [3, 0, 90_000],
    [7, 0, 3_600_000],
    [40, 86_399_999, 3_600_000],
    [40, 86_400_000, null],
    [1, 200_000_000, 10_000],
  ] as const)('that failed %i times and is %i ms old waits %s ms', ([attempts, ageMs, delayMs]) => {
    expect(retryDelayMs({ attempts, ageMs })).toBe(delayMs)
  })

  test('goes with its channel', async ({ database }) => {
    const { channel } = await addWebhook(database)
    await tell(database, 'once')
    await database.delete(notificationChannels).where(eq(notificationChannels.id, channel.id))
    expect(await database.$count(notificationDeliveries)).toBe(0)
  })
})

function raise(): never {
  throw new Error('It is not there.')
}
