import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { InvalidSetting } from '../src/settings.ts'
import { openTestClock } from '../src/test-clock.ts'
import { type Chore, startClock } from '../src/worker/clock/clock.ts'
import type { WorkerContext } from '../src/worker/context.ts'
import { rememberingLog } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { waitFor, within } from './kit/wait-for.ts'

/** A context whose time is what the test says; its chores use nothing else. */
async function contextAt(folder: string, database: WorkerContext['database'], dueNow: () => Promise<Date>) {
  const log = rememberingLog()
  const secrets = await openSecretBox(join(folder, 'secret.key'))
  const context: WorkerContext = {
    database,
    secrets,
    postgresDirectories: [],
    lockWaitMs: 1,
    jobCeilingMs: 1,
    noProgressMs: 1,
    now: () => new Date(),
    dueNow,
    machineNow: () => new Date(),
    metadata: { url: '', keyFile: null, everyMs: 86_400_000 },
    removalGraceMs: 0,
    scratchDirectory: '/nonexistent',
    restoreJobs: 1,
    spoolDirectory: '/nonexistent/spool',
    log,
  }
  return { context, log }
}

/** A chore that counts how often it was begun, and does what it is told. */
function countingChore(name: string, work: (now: Date) => Promise<void>, everyMs = 0) {
  const counting: { count: number; chore: Chore } = {
    count: 0,
    chore: {
      name,
      everyMs,
      run: (_context, now) => {
        counting.count += 1
        return work(now)
      },
    },
  }
  return counting
}

describe('the clock', () => {
  test('does each chore again and again, whatever becomes of the others', async ({ database, folder }) => {
    const { context, log } = await contextAt(folder, database, async () => new Date())
    const never = Promise.withResolvers<void>()
    const failing = countingChore('failing', async () => {
      throw new Error('It cannot.')
    })
    const hanging = countingChore('hanging', () => never.promise)
    const fine = countingChore('fine', async () => {})
    const chores = [failing.chore, hanging.chore, fine.chore]
    const clock = startClock(context, { chores, pollMs: 5, longestRoundMs: 20, longestChoreMs: 30 })
    await waitFor('some rounds', () => fine.count > 5 && failing.count > 1)
    expect(hanging.count).toBe(1)
    expect(log.said.join('')).toContain('A chore of the clock failed')
    await waitFor('it is named', () => log.said.some((text) => text.includes('hangs') && text.includes('hanging')))
    await waitFor('more rounds', () => fine.count > 20)
    expect(log.said.filter((text) => text.includes('hangs'))).toHaveLength(1)
    never.resolve()
    await clock[Symbol.asyncDispose]()
  })

  test('takes the time once a round, and does a chore when its turn has come by that time', async ({
    database,
    folder,
  }) => {
    let now = new Date('2026-03-01T12:00:00Z')
    const { context } = await contextAt(folder, database, async () => now)
    const seen: Date[] = []
    const hourly = countingChore('hourly', async (at) => void seen.push(at), 3_600_000)
    const each = countingChore('each', async () => {})
    await using _clock = startClock(context, { chores: [hourly.chore, each.chore], pollMs: 1 })
    await waitFor('some rounds', () => each.count > 3)
    expect(hourly.count).toBe(1)
    now = new Date('2026-03-08T12:00:00Z')
    await waitFor('the next turn', () => hourly.count === 2)
    expect(seen).toEqual([new Date('2026-03-01T12:00:00Z'), now])
  })

  test('goes on after the time could not be told', async ({ database, folder }) => {
    let asked = 0
    const { context, log } = await contextAt(folder, database, async () => {
      asked += 1
      if (asked < 3) throw new Error('There is no database.')
      return new Date()
    })
    const chore = countingChore('chore', async () => {})
    await using _clock = startClock(context, { chores: [chore.chore], pollMs: 1 })
    await waitFor('a round', () => chore.count > 0)
    expect(log.said.join('')).toContain('There is no database.')
  })

  test('waits for the round under way when it is stopped, and begins no other', async ({ database, folder }) => {
    const { context } = await contextAt(folder, database, async () => new Date())
    const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const chore = countingChore('chore', async () => {
      begun.resolve()
      await end.promise
    })
    const clock = startClock(context, { chores: [chore.chore], pollMs: 1 })
    await begun.promise
    let isStopped = false
    const stopped = Promise.resolve(clock[Symbol.asyncDispose]()).then(() => {
      isStopped = true
    })
    await new Promise(setImmediate)
    expect(isStopped).toBe(false)
    end.resolve()
    await within('the clock stops', stopped)
    expect(chore.count).toBe(1)
  })
})

describe('the time of a file', () => {
  test('is read anew each time, and stays while the file holds none', async ({ folder }) => {
    const path = join(folder, 'clock')
    await writeFile(path, '2026-03-01T02:30:00Z\n')
    const now = openTestClock(path)
    expect(now()).toEqual(new Date('2026-03-01T02:30:00Z'))
    await writeFile(`${path}.next`, '2028-02-29T23:59:59.999Z')
    await rename(`${path}.next`, path)
    expect(now()).toEqual(new Date('2028-02-29T23:59:59.999Z'))
    await writeFile(path, '2028-03-')
    expect(now()).toEqual(new Date('2028-02-29T23:59:59.999Z'))
  })

  test.for(['', 'tomorrow', '2026-03-01', '2026-13-01T00:00:00Z', '2026-03-01T02:30:00+01:00'])(
    'cannot be "%s"',
    async (text, { folder }) => {
      const path = join(folder, 'clock')
      await writeFile(path, text)
      expect(() => openTestClock(path)).toThrow(InvalidSetting)
    },
  )

  test('is asked for by a file that is there', ({ folder }) => {
    expect(() => openTestClock(join(folder, 'none'))).toThrow(join(folder, 'none'))
  })
})
