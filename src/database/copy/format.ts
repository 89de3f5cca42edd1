/**
 * A copy of the metadata database is one text: two comments, of which the second holds the facts as JSON, then for each
 * table a COPY statement with its rows in PostgreSQL's text format, one a line, and at the end a comment that says so.
 * psql reads it as it is into a database that has the tables.
 */
export const firstLine = '-- Holdfast metadata, format 1'
export const lastLine = '-- end of the metadata'

/** A step of the database's history, as it was applied. */
export interface AppliedMigration {
  hash: string
  /** ms since 1970: the order of all steps. */
  at: number
}

/** What a copy says of itself. */
export interface CopyFacts {
  /** Of the Holdfast that made it. */
  version: string
  /** The moment whose data it holds, ISO 8601. */
  createdAt: string
  /** The job that made it, which is running in the copy. */
  jobId: string
  /** What the database's tables were made by; the tables of a copy are those after the last one. */
  migrations: AppliedMigration[]
  /** The file that opens the secrets in it, base64; null where it was to be left out. */
  keyFile: string | null
}

/** Begins a table's rows. */
export function copyStatement(table: string, columns: readonly string[]): string {
  return `COPY ${quote(table)} (${columns.map(quote).join(', ')}) FROM stdin;`
}

/** The table of a line that begins one, with the statement to send; undefined for any other line. */
export function tableBegunBy(line: string): string | undefined {
  const name = /^COPY ("(?:[^"]|"")+") \(.*\) FROM stdin;$/.exec(line)?.[1]
  return name?.slice(1, -1).replaceAll('""', '"')
}

/** Ends a table's rows. */
export const endOfRows = '\\.'

/** Follows the end of a table's rows. */
export function rowCountLine(rows: number): string {
  return `-- ${rows} rows`
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
