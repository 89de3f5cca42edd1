import { readFile } from 'node:fs/promises'
import type postgres from 'postgres'
import type { Cluster } from '../../cluster/start.ts'
import { withConnection } from '../connect.ts'

/** What the comparison of two servers found. */
export interface Comparison {
  databases: number
  tables: number
  rows: number
  /** How many things of each kind were compared: views, roles, large objects… */
  compared: Map<string, number>
  /** One sentence for each thing that is missing, additional or different. */
  differences: string[]
}

interface Fact {
  kind: string
  name: string
  value: string | null
}

/** Session settings that decide how values are written as text: the same on both sides, whatever the databases prefer. */
const settings = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  search_path: 'pg_catalog',
  work_mem: '128MB',
}

/**
 * Compares two servers by SQL of its own, not Holdfast's: every row of every table by checksum, the values of sequences,
 * large objects, and everything else that the catalogue knows of.
 */
export async function compareServers(left: Cluster, right: Cluster, signal: AbortSignal): Promise<Comparison> {
  const [leftFacts, rightFacts] = await Promise.all([readFacts(left, signal), readFacts(right, signal)])
  const rows = [...leftFacts.values()].filter(({ kind }) => kind === 'rows')
  const compared = Map.groupBy(leftFacts.values(), ({ kind }) => kind)
  return {
    databases: compared.get('database')?.length ?? 0,
    tables: rows.length,
    rows: rows.reduce((sum, { value }) => sum + Number.parseInt(value ?? '0', 10), 0),
    compared: new Map([...compared].map(([kind, facts]) => [kind, facts.length])),
    differences: differences(leftFacts, rightFacts),
  }
}

function differences(left: Map<string, Fact>, right: Map<string, Fact>): string[] {
  const found: string[] = []
  for (const [key, { value }] of left) {
    const other = right.get(key)
    if (!other) found.push(`Missing: ${key}.`)
    else if (other.value !== value) found.push(`Different: ${key}: ${short(value)} became ${short(other.value)}.`)
  }
  for (const key of right.keys()) if (!left.has(key)) found.push(`Additional: ${key}.`)
  return found
}

function short(value: string | null): string {
  return value === null ? 'nothing' : value.length > 200 ? `${value.slice(0, 200)}…` : value
}

async function readFacts(server: Cluster, signal: AbortSignal): Promise<Map<string, Fact>> {
  const facts = new Map<string, Fact>()
  const add = (found: Iterable<Fact>, where: string) => {
    for (const fact of found) facts.set(`${fact.kind} ${fact.name}${where}`, fact)
  }
  const onServer = { database: 'postgres', settings, signal }
  add(await withConnection(server, onServer, async (sql) => factsOf(sql, 'server.sql')), '')
  for (const { kind, name } of [...facts.values()]) {
    if (kind !== 'database') continue
    const inDatabase = { database: name, settings, signal }
    const where = ` in database ${JSON.stringify(name)}`
    add(await withConnection(server, inDatabase, async (sql) => factsOf(sql, 'catalogue.sql')), where)
    add(await withConnection(server, inDatabase, readContents), where)
  }
  return facts
}

async function factsOf(sql: postgres.Sql, file: string): Promise<Fact[]> {
  return sql.unsafe<Fact[]>(await readFile(new URL(`${file}`, import.meta.url), 'utf8'))
}

async function readContents(sql: postgres.Sql): Promise<Fact[]> {
  const relations = await sql<{ relkind: string; name: string }[]>`
    select relkind, c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'm', 'S') and nspname !~ '^pg_' and nspname <> 'information_schema'`
  const facts: Fact[] = []
  for (const { relkind, name } of relations) {
    const [kind, query] = relkind === 'S' ? ['sequence value', lastValueOf(name)] : ['rows', checksumOf(name)]
    const [found] = await sql.unsafe<{ value: string }[]>(query)
    facts.push({ kind, name, value: found?.value ?? null })
  }
  return facts
}

/** The number of rows and the sum of a 64-bit hash of each, whatever their order; the name comes quoted from regclass. */
function checksumOf(table: string): string {
  return `select count(*) || ' rows, checksum ' || coalesce(sum(hashtextextended(t::text, 0)), 0) as value from only ${table} t`
}

function lastValueOf(sequence: string): string {
  return `select last_value || ' ' || is_called as value from ${sequence}`
}
