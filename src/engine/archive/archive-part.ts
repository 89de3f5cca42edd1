import { EngineError } from '../engine-error.ts'
import { quoteIdentifier, quoteQualified } from '../quote.ts'
import { isBroughtAlong, isRelation, leftOutKinds, onlyFollows, ownersOf } from './entry-kinds.ts'
import type { Toc, TocEntry } from './read-toc.ts'

/** What is wanted of a database alone: whole schemas, and relations by name. */
export interface WantedPart {
  schemas: readonly string[]
  tables: readonly { schema: string; name: string }[]
}

/** What of an archive makes up a part. */
export interface ArchivePart {
  /** In the archive's own order. */
  entries: TocEntry[]
  /** The same for `pg_restore --use-list`. */
  useList: string
  /** The tables whose rows come back. */
  tables: { schema: string; name: string }[]
  /** What belongs to the part and cannot come without what lies outside it, as a sentence each. */
  leftOut: string[]
}

/**
 * Chooses from an archive what is wanted of it, with all that belongs to it (data, indexes, constraints, sequences,
 * partitions, triggers, policies, comments, grants) and the types, functions and extensions that it needs, without rows
 * of other tables. Throws PART_MISSING for what the archive does not hold, PART_INCOMPLETE when a table cannot be made
 * without others.
 */
export function choosePart(toc: Toc, wanted: WantedPart): ArchivePart {
  const catalogue = catalogueOf(toc.entries)
  const chosen = seedsOf(toc.entries, wanted)
  extend(catalogue, chosen)
  const leftOut = prune(catalogue, chosen)
  const lost = leftOut.filter(
    ({ entry }) => entry.kind === 'TABLE' || wanted.tables.some((table) => makes(entry, table)),
  )
  if (lost.length > 0) {
    throw new EngineError(
      'PART_INCOMPLETE',
      'The part needs what lies outside it.',
      lost.map((each) => `${sentence(each)}.`).join('\n'),
    )
  }
  const entries = toc.entries.filter((entry) => chosen.has(entry))
  return {
    entries,
    useList: useListOf(entries),
    tables: entries.flatMap(({ kind, schema, name }) => (kind === 'TABLE' ? [{ schema: schema ?? '', name }] : [])),
    leftOut: leftOut.map((each) => `${sentence(each)}: it was left out.`),
  }
}

/** Entries as `pg_restore --use-list` reads them: it knows each by its number alone. */
export function useListOf(entries: readonly TocEntry[]): string {
  return entries.map(({ dumpId }) => `${dumpId};\n`).join('')
}

interface Catalogue {
  entries: readonly TocEntry[]
  byId: ReadonlyMap<number, TocEntry>
  /** Schemas by their names. */
  schemas: ReadonlyMap<string, TocEntry>
  /** The parents of partitions, which are made by themselves and attached afterwards. */
  parents: ReadonlyMap<TocEntry, TocEntry>
}

interface LeftOut {
  entry: TocEntry
  /** What it needs. */
  outside: TocEntry
}

function catalogueOf(entries: readonly TocEntry[]): Catalogue {
  const byId = new Map(entries.map((entry) => [entry.dumpId, entry]))
  const parents = new Map<TocEntry, TocEntry>()
  for (const attached of entries.filter(({ kind }) => kind === 'TABLE ATTACH')) {
    const pair = attached.dependsOn.flatMap((id) => byId.get(id) ?? []).filter(isRelation)
    const partition = pair.find(({ schema, name }) => schema === attached.schema && name === attached.name)
    const parent = pair.find((each) => each !== partition)
    if (partition && parent) parents.set(partition, parent)
  }
  const schemas = new Map(entries.filter(({ kind }) => kind === 'SCHEMA').map((entry) => [entry.name, entry]))
  return { entries, byId, schemas, parents }
}

function seedsOf(entries: readonly TocEntry[], { schemas, tables }: WantedPart): Set<TocEntry> {
  const chosen = new Set<TocEntry>()
  const missing: string[] = []
  for (const schema of schemas) {
    const itself = entries.find(({ kind, name }) => kind === 'SCHEMA' && name === schema)
    const own = entries.filter((entry) => entry.schema === schema && !leftOutKinds.has(entry.kind))
    const about = entries.filter((entry) => isAbout(entry, schema, itself))
    if (own.length === 0 && !itself) missing.push(`schema ${quoteIdentifier(schema)}`)
    for (const entry of [...(itself ? [itself] : []), ...own, ...about]) chosen.add(entry)
  }
  for (const { schema, name } of tables) {
    const found = entries.find((entry) => makes(entry, { schema, name }))
    if (found) chosen.add(found)
    else missing.push(`table ${quoteQualified(schema, name)}`)
  }
  if (missing.length > 0) {
    throw new EngineError('PART_MISSING', `The recovery point does not hold ${missing.join(', ')}.`)
  }
  return chosen
}

function makes(entry: TocEntry, { schema, name }: { schema: string; name: string }): boolean {
  return isRelation(entry) && entry.schema === schema && entry.name === name
}

/** Whether an entry that lies in no schema is a schema's own: its comment, its grants, an extension made in it. */
function isAbout({ kind, name, dependsOn }: TocEntry, schema: string, itself: TocEntry | undefined): boolean {
  if (kind === 'EXTENSION') return itself !== undefined && dependsOn.includes(itself.dumpId)
  // That of "public" is there without the schema itself, which every database has.
  return name === `SCHEMA ${schema}` && ['COMMENT', 'ACL', 'SECURITY LABEL'].includes(kind)
}

/** Adds what belongs to the chosen entries and what they need, until nothing is added any more. */
function extend(catalogue: Catalogue, chosen: Set<TocEntry>): void {
  for (let before = -1; before < chosen.size; ) {
    before = chosen.size
    for (const entry of catalogue.entries) {
      if (!chosen.has(entry) && belongsTo(catalogue, entry, chosen)) chosen.add(entry)
    }
    for (const entry of chosen) {
      for (const needed of needsOf(catalogue, entry)) if (isBroughtAlong(needed)) chosen.add(needed)
    }
  }
}

function belongsTo({ byId, parents }: Catalogue, entry: TocEntry, chosen: ReadonlySet<TocEntry>): boolean {
  const parent = parents.get(entry)
  if (parent && chosen.has(parent)) return true
  const needed = entry.dependsOn.flatMap((id) => byId.get(id) ?? [])
  return (
    ownersOf
      .get(entry.kind)?.(entry, needed)
      .some((owner) => chosen.has(owner)) ?? false
  )
}

/** What an entry cannot be made without: what it depends on, and the schema that it is in. */
function needsOf({ byId, schemas, parents }: Catalogue, entry: TocEntry): TocEntry[] {
  const needed = entry.dependsOn
    .flatMap((id) => byId.get(id) ?? [])
    .filter((each) => each !== parents.get(entry) && !onlyFollows(entry, each))
  const home = entry.schema === null ? undefined : schemas.get(entry.schema)
  return home ? [...needed, home] : needed
}

/** Takes out what needs something that is not chosen, and then what needs that. */
function prune(catalogue: Catalogue, chosen: Set<TocEntry>): LeftOut[] {
  const leftOut: LeftOut[] = []
  for (let isDone = false; !isDone; ) {
    isDone = true
    for (const entry of chosen) {
      const missing = needsOf(catalogue, entry).filter((needed) => !chosen.has(needed))
      // A table says more than its key, which is needed as well.
      const outside = missing.find(isRelation) ?? missing[0]
      if (!outside) continue
      chosen.delete(entry)
      leftOut.push({ entry, outside })
      isDone = false
    }
  }
  return leftOut
}

function sentence({ entry, outside }: LeftOut): string {
  return `${inWords(entry)} needs ${inWords(outside)}, which is not in the part`
}

/** What an entry is, and its name. */
export function inWords({ kind, schema, name }: Pick<TocEntry, 'kind' | 'schema' | 'name'>): string {
  return `${kind} ${schema === null ? quoteIdentifier(name) : quoteQualified(schema, name)}`
}
