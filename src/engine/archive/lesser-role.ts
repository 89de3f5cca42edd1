import { quoteIdentifier } from '../quote.ts'
import type { TocEntry } from './read-toc.ts'

/** What a role without SUPERUSER can restore of some entries. */
export interface LesserPart {
  entries: TocEntry[]
  /** What only a superuser can make, and was taken out, as a sentence each. */
  leftOut: string[]
}

/**
 * Takes out what only a superuser can make and what goes with it: event triggers, and publications of all tables or of
 * whole schemas.
 */
export function withoutSuperuserEntries(entries: readonly TocEntry[]): LesserPart {
  const out = new Set<number>()
  const leftOut: string[] = []
  for (const { dumpId, kind, name, definition, dependsOn } of entries) {
    const isForSuperusers =
      kind === 'EVENT TRIGGER' ||
      kind === 'PUBLICATION TABLES IN SCHEMA' ||
      (kind === 'PUBLICATION' && /\bFOR ALL TABLES\b/.test(definition ?? ''))
    if (isForSuperusers) leftOut.push(`${kind} ${quoteIdentifier(name)} was left out: only a superuser can make it.`)
    if (isForSuperusers || (goesWith.has(kind) && dependsOn.some((id) => out.has(id)))) out.add(dumpId)
  }
  return { entries: entries.filter(({ dumpId }) => !out.has(dumpId)), leftOut }
}

const goesWith = new Set(['COMMENT', 'ACL', 'SECURITY LABEL', 'PUBLICATION TABLE'])

/** Takes out schemas that are there already, and the comments on extensions that are there and belong to another role. */
export function withoutMade(
  entries: readonly TocEntry[],
  made: { schemas: ReadonlySet<string>; extensions: ReadonlySet<string> },
): TocEntry[] {
  const extensions = new Set(
    entries.filter(({ kind, name }) => kind === 'EXTENSION' && made.extensions.has(name)).map(({ dumpId }) => dumpId),
  )
  return entries.filter(({ kind, name, dependsOn }) => {
    if (kind === 'SCHEMA') return !made.schemas.has(name)
    return kind !== 'COMMENT' || !dependsOn.some((id) => extensions.has(id))
  })
}
