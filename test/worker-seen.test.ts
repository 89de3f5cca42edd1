import { expect } from 'vitest'
import { recordWorkerSeen, secondsSinceWorkerSeen } from '../src/job/worker-seen.ts'
import { test } from './kit/test.ts'

test('a worker was seen so many seconds ago, and nobody knows when by a clock that ran ahead', async ({ database }) => {
  const at = (time: string) => new Date(`2026-03-01T${time}Z`)
  expect(await secondsSinceWorkerSeen(database, at('12:00:00'))).toBeNull()
  await recordWorkerSeen(database, at('12:00:00'))
  expect(await secondsSinceWorkerSeen(database, at('12:00:45'))).toBe(45)
  expect(await secondsSinceWorkerSeen(database, at('11:59:30'))).toBe(0)
  await recordWorkerSeen(database, new Date('2036-03-01T12:00:00Z'))
  expect(await secondsSinceWorkerSeen(database, at('12:01:00'))).toBeNull()
  await recordWorkerSeen(database, at('12:01:30'))
  expect(await secondsSinceWorkerSeen(database, at('12:02:00'))).toBe(30)
})
