import { quoteIdentifier } from '../quote.ts'
import { inWords } from './archive-part.ts'
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

const ownedBySuperusers = new Set(['EVENT TRIGGER', 'FOREIGN DATA WRAPPER'])

/**
 * Takes out what only a superuser can own and would be given to a role that is none: event triggers and foreign-data
 * wrappers, with all that goes with them or needs them.
 */
export function withoutUnownable(
  entries: readonly TocEntry[],
  { isSuperuser, superusers }: { isSuperuser: boolean; superusers: ReadonlySet<string> },
): LesserPart {
  const out = new Map<number, TocEntry>()
  const leftOut: string[] = []
  for (const entry of entries) {
    const { dumpId, kind, owner, dependsOn } = entry
    const isUnownable = ownedBySuperusers.has(kind) && !(isSuperuser && superusers.has(owner ?? ''))
    const needed = dependsOn.flatMap((id) => out.get(id) ?? [])[0] ?? serverOf(entry, out)
    if (isUnownable) leftOut.push(`${inWords(entry)} was left out: ${whyUnownable(owner, isSuperuser)}`)
    else if (!needed) continue
    else if (!goesWith.has(kind)) leftOut.push(`${inWords(entry)} needs ${inWords(needed)}: it was left out.`)
    out.set(dumpId, entry)
  }
  return { entries: entries.filter(({ dumpId }) => !out.has(dumpId)), leftOut }
}

/** A user mapping is tied to its server by its name alone: "USER MAPPING clerk SERVER far". */
function serverOf({ kind, name }: TocEntry, out: ReadonlyMap<number, TocEntry>): TocEntry | undefined {
  if (kind !== 'USER MAPPING') return undefined
  return [...out.values()].find((each) => each.kind === 'SERVER' && name.endsWith(` SERVER ${each.name}`))
}

function whyUnownable(owner: string | null, isSuperuser: boolean): string {
  if (!isSuperuser || owner === null) return 'only a superuser can make it.'
  const name = quoteIdentifier(owner)
  return `its owner ${name} would have to be a superuser. Before a restore this helps: ALTER ROLE ${name} SUPERUSER`
}

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
