import { writeFile } from 'node:fs/promises'
import { lexicographicSortSchema, printSchema } from 'graphql'
import { schema } from './schema/schema.ts'

/** The schema as the committed file shows it: sorted, so that a change shows as what it is. */
export function printedSchema(): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}

if (import.meta.main) await writeFile(new URL('../../schema.graphql', import.meta.url), printedSchema())
