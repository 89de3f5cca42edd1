import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import { migrationsFolder } from '../migrate.ts'
import type { AppliedMigration } from './format.ts'

/** A copy was made by a version of Holdfast whose tables this one does not know. */
export class UnknownMigrations extends Error {}

/** Refuses (UnknownMigrations) a history that is not the beginning of this version's. */
export function checkMigrations(applied: readonly AppliedMigration[]): void {
  const known = readMigrationFiles({ migrationsFolder })
  const isNewer = applied.length > known.length
  const isOther = applied.some(
    ({ hash, at }, place) => known[place]?.hash !== hash || known[place]?.folderMillis !== at,
  )
  if (isNewer || (isOther && (applied.at(-1)?.at ?? 0) > (known.at(-1)?.folderMillis ?? 0))) {
    throw new UnknownMigrations(
      'The copy was made by a newer version of Holdfast: recover with that version, or a later one.',
    )
  }
  if (isOther || applied.length === 0) {
    throw new UnknownMigrations('The copy was made by a version of Holdfast whose tables this one does not know.')
  }
}

/** Makes the tables of an empty database as they were after those steps: the first ones of this version's history. */
export async function migrateTo(url: string, applied: readonly AppliedMigration[]): Promise<void> {
  checkMigrations(applied)
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-migrations-'))
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await cp(migrationsFolder, folder, { recursive: true })
    const journal = join(folder, 'meta', '_journal.json')
    const all = JSON.parse(await readFile(journal, 'utf8'))
    await writeFile(journal, JSON.stringify({ ...all, entries: all.entries.slice(0, applied.length) }))
    await migrate(drizzle({ client }), { migrationsFolder: folder })
  } finally {
    await client.end({ timeout: 5 })
    await rm(folder, { recursive: true, force: true })
  }
}
