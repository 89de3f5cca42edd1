import type { RowFacts, TableRows } from './count-rows.ts'
import { quoteQualified } from './quote.ts'

/** One way in which what was restored is not what was backed up. */
export interface RowDifference {
  /** The table's quoted name, or "large objects". */
  subject: string
  /** Null: there is no such table. */
  expected: number | null
  actual: number | null
  /** The same as a sentence. */
  message: string
}

/** Every difference between what a dump's snapshot held and what a database holds now; none when they agree. */
export function compareRows(expected: RowFacts, actual: RowFacts): RowDifference[] {
  const wanted = bySubject(expected.tables)
  const found = bySubject(actual.tables)
  const differences: RowDifference[] = []
  for (const subject of new Set([...wanted.keys(), ...found.keys()])) {
    const difference = { subject, expected: wanted.get(subject) ?? null, actual: found.get(subject) ?? null }
    // A standby does not show its unlogged tables' rows: they are not in the backup, and come back empty.
    if (difference.expected === null && difference.actual === 0) continue
    if (difference.expected !== difference.actual) differences.push({ ...difference, message: sentence(difference) })
  }
  if (expected.largeObjectCount !== actual.largeObjectCount) {
    const counts = { expected: expected.largeObjectCount, actual: actual.largeObjectCount }
    const message = `There are ${counts.actual} large objects instead of ${counts.expected}.`
    differences.push({ subject: 'large objects', ...counts, message })
  }
  return differences
}

/** What of a dump's counts a part of it brings back: the rows of its tables, and no large object. */
export function rowsOfPart(counted: RowFacts, tables: readonly { schema: string; name: string }[]): RowFacts {
  const chosen = new Set(tables.map(({ schema, name }) => quoteQualified(schema, name)))
  return {
    tables: counted.tables.filter(({ schema, name }) => chosen.has(quoteQualified(schema, name))),
    largeObjectCount: 0,
  }
}

function sentence({ subject, expected, actual }: Omit<RowDifference, 'message'>): string {
  if (actual === null) return `Table ${subject} is missing; it had ${expected} rows.`
  if (expected === null) return `Table ${subject} with ${actual} rows was not in the backup.`
  return `Table ${subject} has ${actual} rows instead of ${expected}.`
}

function bySubject(tables: readonly TableRows[]): Map<string, number> {
  return new Map(tables.map(({ schema, name, rows }) => [quoteQualified(schema, name), rows]))
}
