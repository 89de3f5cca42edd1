import { readFileSync } from 'node:fs'
import { InvalidSetting } from './settings.ts'

const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z$/

/**
 * A clock for demonstrations and tests: its time is the one ISO 8601 instant in UTC that a file holds, read anew each time.
 * Throws InvalidSetting when the file holds none at first; while it holds none later on, the last one it held stays.
 */
export function openTestClock(path: string): () => Date {
  const first = readInstant(path)
  if (!first) {
    throw new InvalidSetting(
      `HOLDFAST_TEST_CLOCK_FILE names ${path}: that file must hold one instant in UTC, such as 2026-03-01T02:30:00Z.`,
    )
  }
  let shown = first
  return () => {
    shown = readInstant(path) ?? shown
    return new Date(shown)
  }
}

function readInstant(path: string): Date | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
  const moment = new Date(text)
  return instant.test(text) && !Number.isNaN(moment.getTime()) ? moment : undefined
}
