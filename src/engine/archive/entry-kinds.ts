import type { TocEntry } from './read-toc.ts'

const relations = new Set(['TABLE', 'FOREIGN TABLE', 'VIEW', 'MATERIALIZED VIEW'])

/** Whether an entry makes a table or what is read like one. */
export function isRelation({ kind }: TocEntry): boolean {
  return relations.has(kind)
}

/** What lies in a schema by its name alone: it publishes or subscribes to what a part may not hold. */
export const leftOutKinds: ReadonlySet<string> = new Set(['PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA'])

const broughtAlong = new Set([
  'SCHEMA',
  'EXTENSION',
  'TYPE',
  'SHELL TYPE',
  'DOMAIN',
  'FUNCTION',
  'PROCEDURE',
  'AGGREGATE',
  'OPERATOR',
  'OPERATOR CLASS',
  'OPERATOR FAMILY',
  'COLLATION',
  'CONVERSION',
  'CAST',
  'TRANSFORM',
  'SEQUENCE',
  'PROCEDURAL LANGUAGE',
  'ACCESS METHOD',
  'FOREIGN DATA WRAPPER',
  'SERVER',
  'TEXT SEARCH PARSER',
  'TEXT SEARCH TEMPLATE',
  'TEXT SEARCH DICTIONARY',
  'TEXT SEARCH CONFIGURATION',
])

/** Whether an entry holds no rows of its own, so that it may come with a part that needs it. */
export function isBroughtAlong({ kind }: TocEntry): boolean {
  return broughtAlong.has(kind)
}

type Owners = (entry: TocEntry, needed: readonly TocEntry[]) => readonly TocEntry[]

const first: Owners = (_entry, needed) => needed.slice(0, 1)
const any: Owners = (_entry, needed) => needed
const relation: Owners = (_entry, needed) => needed.filter(isRelation)
/** The relation whose name the entry's own begins with: "orders orders_pkey". Several may fit when names hold spaces. */
const namesake: Owners = (entry, needed) =>
  needed.filter(
    (each) => isRelation(each) && each.schema === entry.schema && `${entry.name} `.startsWith(`${each.name} `),
  )
const typeOrFunction: Owners = (_entry, needed) =>
  needed.filter(({ kind }) => ['TYPE', 'DOMAIN', 'FUNCTION'].includes(kind))

/** For each kind that is nothing by itself, which of the entries that it needs it belongs to: it comes with any of them. */
export const ownersOf: ReadonlyMap<string, Owners> = new Map([
  ['TABLE DATA', namesake],
  ['MATERIALIZED VIEW DATA', namesake],
  ['DEFAULT', namesake],
  ['CONSTRAINT', namesake],
  ['CHECK CONSTRAINT', namesake],
  ['FK CONSTRAINT', namesake],
  ['TRIGGER', namesake],
  ['RULE', namesake],
  ['POLICY', namesake],
  ['ROW SECURITY', namesake],
  ['INDEX', relation],
  ['STATISTICS', relation],
  ['STATISTICS DATA', any],
  ['TABLE ATTACH', relation],
  ['INDEX ATTACH', any],
  // One that a table needs for a default comes as what it needs; the one of an identity column needs its table.
  ['SEQUENCE', relation],
  ['SEQUENCE OWNED BY', relation],
  ['SEQUENCE SET', any],
  ['CAST', typeOrFunction],
  ['TRANSFORM', typeOrFunction],
  ['USER MAPPING', first],
  ['COMMENT', first],
  ['ACL', first],
  ['SECURITY LABEL', first],
])

const indexes = new Set(['INDEX', 'CONSTRAINT'])

/** Whether an entry only comes after another, and can be made without it: as a partition's index after its parent's. */
export function onlyFollows(entry: TocEntry, needed: TocEntry): boolean {
  return indexes.has(entry.kind) && indexes.has(needed.kind)
}
