import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { jobEvents, jobs } from '../src/database/tables/job.ts'
import { enqueueJobs, type NewJob } from '../src/job/enqueue.ts'
import { enqueue } from './kit/runner.ts'
import { test } from './kit/test.ts'

const now = new Date('2026-03-02T02:00:00Z')

function newJob(parts: Partial<NewJob> = {}): NewJob {
  return { operation: 'BACKUP', trigger: 'SCHEDULE', input: {}, subject: {}, actor: 'holdfast', now, ...parts }
}

test('many jobs are added at once, and each is told what became of it', async ({ database }) => {
  const holder = await enqueue(database, { exclusiveKey: 'taken' })
  const keys = ['one', 'taken', 'two', 'one', undefined, undefined]
  const added = await database.transaction((tx) =>
    enqueueJobs(
      tx,
      keys.map((exclusiveKey) => newJob(exclusiveKey === undefined ? {} : { exclusiveKey })),
    ),
  )
  const first = added[0] && 'jobId' in added[0] ? added[0].jobId : ''
  expect(added).toEqual([
    { jobId: first },
    { heldBy: holder.id },
    { jobId: expect.any(String) },
    { heldBy: first },
    { jobId: expect.any(String) },
    { jobId: expect.any(String) },
  ])
  const ids = added.flatMap((each) => ('jobId' in each ? [each.jobId] : []))
  expect(new Set((await database.select().from(jobs)).map(({ id }) => id))).toEqual(new Set([holder.id, ...ids]))
})

test('a job is kept as it was asked for, with its first event in the same transaction', async ({ database }) => {
  const subject = {
    instanceId: crypto.randomUUID(),
    vaultId: crypto.randomUUID(),
    serverId: crypto.randomUUID(),
    recoveryPointId: crypto.randomUUID(),
    instanceName: 'a "name", with \\ and {é}',
    policyName: 'nightly',
  }
  const rest = { id: crypto.randomUUID(), lanes: ['server:a', 'vault:"b"'], maxAttempts: 2, exclusiveKey: 'key' }
  const input = { list: [1, null, 'two'], none: null }
  await database.transaction((tx) =>
    enqueueJobs(tx, [newJob({ ...rest, subject, input, scheduledFor: now, runAt: now })]),
  )
  const [job] = await database.select().from(jobs)
  expect(job).toMatchObject({ ...subject, ...rest, input, status: 'QUEUED', trigger: 'SCHEDULE', attempt: 0 })
  expect(job).toMatchObject({ createdAt: now, createdBy: 'holdfast', scheduledFor: now, runAt: now, eventSequence: 1 })
  const [event] = await database.select().from(jobEvents)
  expect(event).toMatchObject({ jobId: rest.id, sequence: 1, type: 'QUEUED', status: 'QUEUED', at: now, data: {} })
  expect(event?.transactionId).toBe(job?.eventTransactionId)
})

test('500 jobs take as many statements as one', async ({ databaseUrl }) => {
  const statements: string[] = []
  const client = postgres(databaseUrl, { max: 1, debug: (_connection, text) => void statements.push(text) })
  const database: Database = drizzle({ client, casing: 'snake_case' })
  const cost = async (count: number) => {
    const many = Array.from({ length: count }, () => newJob({ exclusiveKey: crypto.randomUUID() }))
    statements.length = 0
    await database.transaction((tx) => enqueueJobs(tx, many))
    return statements.length
  }
  await cost(1)
  const one = await cost(1)
  expect(one).toBeLessThanOrEqual(7)
  expect(await cost(500)).toBe(one)
  await client.end()
})

test('of many who add jobs for the same keys at once, each key is got by one', async ({ database }) => {
  const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`)
  const attempt = () =>
    database.transaction((tx) =>
      enqueueJobs(
        tx,
        keys.map((exclusiveKey) => newJob({ exclusiveKey })),
      ),
    )
  const answers = await Promise.all([attempt(), attempt(), attempt(), attempt()])
  const made = await database.select().from(jobs)
  expect(made).toHaveLength(40)
  for (const [index, key] of keys.entries()) {
    const holder = made.find(({ exclusiveKey }) => exclusiveKey === key)?.id
    const told = answers.flatMap((each) => each[index] ?? [])
    expect(told.filter((each) => 'jobId' in each)).toEqual([{ jobId: holder }])
    expect(told.filter((each) => 'heldBy' in each)).toEqual(Array(3).fill({ heldBy: holder }))
  }
})
