import type { RestorePart as Part } from '../../../restore/restore.ts'
import { builder } from '../../schema/builder.ts'

const ChosenTable = builder.objectRef<Part['tables'][number]>('ChosenTable').implement({
  description: 'One table that was chosen to be restored alone.',
  fields: (t) => ({
    schema: t.exposeString('schema', { description: 'The schema that it is in.' }),
    name: t.exposeString('name', { description: 'Its name, exactly as it is in the database.' }),
  }),
})

export const RestorePart = builder.objectRef<Part>('RestorePart').implement({
  description: 'What of one database was asked to be restored, without the rest of it.',
  fields: (t) => ({
    database: t.exposeString('database', { description: 'The name of the database in the recovery point.' }),
    schemas: t.exposeStringList('schemas', { description: 'The schemas that were chosen whole.' }),
    tables: t.expose('tables', { type: [ChosenTable], description: 'The tables that were chosen by name.' }),
  }),
})

const ChosenTableInput = builder.inputType('ChosenTableInput', {
  description: 'One table, view or materialized view to restore alone.',
  fields: (t) => ({
    schema: t.string({ required: true, description: 'The schema that it is in.' }),
    name: t.string({ required: true, description: 'Its name, exactly as it is in the database: nothing is folded.' }),
  }),
})

export const RestorePartInput = builder.inputType('RestorePartInput', {
  description:
    'What of one database is restored, without the rest of it: whole schemas, tables by name, or both. What belongs to them comes along; what needs other tables is left out and named in a warning.',
  fields: (t) => ({
    database: t.string({ required: true, description: 'The name of the database in the recovery point.' }),
    schemas: t.stringList({ description: 'The schemas to restore whole.' }),
    tables: t.field({
      type: [ChosenTableInput],
      description: 'The tables to restore, each with its data, indexes, constraints, sequences and partitions.',
    }),
  }),
})

/** A part as the restore room takes it; null when none was given. */
export function partOf(input: typeof RestorePartInput.$inferInput | null | undefined): Part | null {
  if (!input) return null
  return { database: input.database, schemas: input.schemas ?? [], tables: input.tables ?? [] }
}
