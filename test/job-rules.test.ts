import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { jobStatus } from '../src/database/tables/job.ts'
import { estimate } from '../src/job/estimate.ts'
import { decodeFeedCursor, encodeFeedCursor } from '../src/job/events.ts'
import { retryDelayMs } from '../src/job/settle/backoff.ts'
import { storableJson, storableText } from '../src/job/settle/storable.ts'
import { type Ending, verdictOf } from '../src/job/settle/verdict.ts'
import { isEnded, type JobRow, mayFollow } from '../src/job/states.ts'
import { errorSaying } from './kit/runner.ts'

const job: JobRow = {
  id: crypto.randomUUID(),
  operation: 'BACKUP',
  status: 'IN_PROGRESS',
  trigger: 'USER',
  input: {},
  instanceId: null,
  vaultId: null,
  serverId: null,
  recoveryPointId: null,
  instanceName: null,
  policyName: null,
  exclusiveKey: null,
  lanes: [],
  attempt: 1,
  handBacks: 0,
  cleanUps: 0,
  maxAttempts: 3,
  mayHaveLeftovers: false,
  runAt: new Date(0),
  workerId: 'worker',
  leaseUntil: new Date(0),
  cancelRequestedAt: null,
  createdAt: new Date(0),
  createdBy: 'tester',
  scheduledFor: null,
  startedAt: new Date(0),
  attemptStartedAt: new Date(0),
  endedAt: null,
  bytesDone: 0,
  bytesTotal: null,
  rowsDone: 0,
  rowsTotal: null,
  progressAt: null,
  notes: [],
  warnings: [],
  error: null,
  result: null,
  kept: null,
  eventSequence: 2,
  eventTransactionId: 1n,
}
const error = errorSaying('BROKEN')
const endings: Ending[] = [
  { kind: 'completed' },
  { kind: 'failed', error },
  { kind: 'retryLater', error },
  { kind: 'cancelled' },
  { kind: 'interrupted' },
  { kind: 'cleanedUp', error },
  { kind: 'cleanUpFailed', error },
  { kind: 'cleanUpInterrupted' },
]

describe('what becomes of a job', () => {
  const cases: [Ending['kind'], Partial<JobRow>, string][] = [
    ['completed', {}, 'COMPLETED'],
    ['completed', { status: 'CANCELLING', cancelRequestedAt: new Date(0) }, 'COMPLETED'],
    ['failed', {}, 'FAILED'],
    ['retryLater', { attempt: 2 }, 'QUEUED'],
    ['retryLater', { attempt: 3 }, 'FAILED'],
    ['retryLater', { attempt: 5, handBacks: 2, cleanUps: 1 }, 'QUEUED'],
    ['retryLater', { status: 'CANCELLING', cancelRequestedAt: new Date(0) }, 'CANCELLED'],
    ['cancelled', {}, 'CANCELLED'],
    ['interrupted', { attempt: 3 }, 'QUEUED'],
    ['interrupted', { status: 'CANCELLING', cancelRequestedAt: new Date(0) }, 'CANCELLED'],
    ['cleanedUp', { attempt: 4, cleanUps: 1 }, 'FAILED'],
    ['cleanedUp', { status: 'CANCELLING', cancelRequestedAt: new Date(0) }, 'CANCELLED'],
    ['cleanUpFailed', { attempt: 4, cleanUps: 1 }, 'QUEUED'],
    ['cleanUpFailed', { attempt: 6, cleanUps: 3 }, 'FAILED'],
    ['cleanUpFailed', { status: 'CANCELLING', cancelRequestedAt: new Date(0), cleanUps: 1 }, 'CANCELLING'],
    ['cleanUpInterrupted', { status: 'CANCELLING', cancelRequestedAt: new Date(0), cleanUps: 1 }, 'CANCELLING'],
    ['cleanUpInterrupted', { attempt: 4, cleanUps: 1 }, 'QUEUED'],
  ]
  for (const [kind, state, status] of cases) {
    test(`${kind} with ${JSON.stringify(state)} is ${status}`, () => {
      const ending = endings.find((one) => one.kind === kind) ?? endings[0]
      if (ending) expect(verdictOf({ ...job, ...state }, ending, 0, 0.5).status).toBe(status)
    })
  }

  test('is always something that may follow, and ends or waits', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...endings),
        fc.boolean(),
        fc.nat(9),
        fc.nat(9),
        fc.nat(9),
        fc.nat(3),
        (ending, isCancelled, spent, handBacks, cleanUps, warningCount) => {
          const given: JobRow = {
            ...job,
            status: isCancelled ? 'CANCELLING' : 'IN_PROGRESS',
            cancelRequestedAt: isCancelled ? new Date(0) : null,
            attempt: spent + handBacks + cleanUps,
            handBacks,
            cleanUps,
          }
          const { status, delayMs } = verdictOf(given, ending, warningCount, 0.5)
          expect(status === given.status || mayFollow[given.status].includes(status)).toBe(true)
          expect(isEnded(status)).toBe(delayMs === undefined)
        },
      ),
    )
  })

  test('never leads out of an end', () => {
    for (const status of jobStatus.enumValues) expect(isEnded(status)).toBe(mayFollow[status].length === 0)
    expect(jobStatus.enumValues.filter(isEnded)).toEqual([
      'COMPLETED',
      'COMPLETED_WITH_WARNINGS',
      'FAILED',
      'CANCELLED',
    ])
  })
})

describe('the pause before the next attempt', () => {
  test('grows three times each time, up to ten minutes, and differs by a fifth at most', () => {
    expect([1, 2, 3, 4, 5, 9].map((spent) => retryDelayMs(spent, 0.5))).toEqual([
      5_000, 15_000, 45_000, 135_000, 405_000, 600_000,
    ])
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (spent, chance) => {
          const middle = retryDelayMs(spent, 0.5)
          expect(retryDelayMs(spent, chance)).toBeGreaterThanOrEqual(middle * 0.8 - 1)
          expect(retryDelayMs(spent, chance)).toBeLessThanOrEqual(middle * 1.2 + 1)
        },
      ),
    )
  })
})

describe('the cursor of the feed', () => {
  const cursors = fc.record({ transactionId: fc.bigInt(0n, 2n ** 64n - 1n), id: fc.bigInt(0n, 2n ** 63n - 1n) })

  test('comes back from its text as it was', () => {
    fc.assert(
      fc.property(cursors, (cursor) => {
        expect(decodeFeedCursor(encodeFeedCursor(cursor))).toEqual(cursor)
      }),
    )
  })

  test('is not read from any other text', () => {
    const text = (value: string) => Buffer.from(value).toString('base64url')
    const wrong = ['', 'x', '1.2', text('1'), text('1.'), text('.1'), text('01.2'), text('1.02'), text('1.2.3')]
    wrong.push(text('-1.2'), text(`${2n ** 64n}.1`), text(`1.${2n ** 63n}`), text(' 1.2'), text('1.2\n'))
    wrong.push(`${text('1.2')}=`, ` ${text('1.2')}`, `${text('1.2')}!`, 'é'.repeat(10), 'A'.repeat(10_000))
    for (const one of wrong) expect(decodeFeedCursor(one), one).toBeUndefined()
    fc.assert(
      fc.property(fc.string(), (any) => {
        const cursor = decodeFeedCursor(any)
        if (cursor) expect(encodeFeedCursor(cursor)).toBe(any)
      }),
    )
  })
})

describe('an estimate', () => {
  const at = (seconds: number) => new Date(seconds * 1000)
  const running = { status: 'IN_PROGRESS' as const, attemptStartedAt: at(0) }

  test('tells how much, how fast and until when', () => {
    expect(estimate({ ...running, bytesDone: 50, bytesTotal: 200, progressAt: at(10) })).toEqual({
      fraction: 0.25,
      bytesPerSecond: 5,
      expectedEndAt: at(40),
    })
  })

  test('tells nothing that is not known', () => {
    const nothing = { fraction: null, bytesPerSecond: null, expectedEndAt: null }
    expect(estimate({ ...running, bytesDone: 0, bytesTotal: null, progressAt: null })).toEqual(nothing)
    expect(estimate({ ...running, bytesDone: 9, bytesTotal: 0, progressAt: at(0) })).toEqual(nothing)
    expect(estimate({ ...running, status: 'COMPLETED', bytesDone: 9, bytesTotal: null, progressAt: at(3) })).toEqual({
      fraction: 1,
      bytesPerSecond: 3,
      expectedEndAt: null,
    })
  })

  test('never passes the whole, also when the total was guessed too small', () => {
    expect(estimate({ ...running, bytesDone: 30, bytesTotal: 20, progressAt: at(10) })).toEqual({
      fraction: 1,
      bytesPerSecond: 3,
      expectedEndAt: at(10),
    })
  })
})

describe('what the database can keep', () => {
  test('of any text is the text without what it cannot', () => {
    expect(storableText('a\0b\ud800', 10)).toBe('ab\ufffd')
    expect(storableText('abcdef', 4)).toBe('abc…')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 20 }), (text, most) => {
        const kept = storableText(text, most)
        expect(kept.length).toBeLessThanOrEqual(most)
        expect(kept).not.toContain('\0')
        expect(kept.isWellFormed()).toBe(true)
      }),
    )
  })

  test('of any value is JSON', () => {
    expect(storableJson(undefined)).toBeNull()
    expect(storableJson({ at: new Date(0), names: ['a\0'], left: undefined })).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      names: ['a'],
    })
  })
})
