import { index, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

/** Append-only: a trigger in the migrations refuses updates, deletes and truncation. */
export const auditRecords = pgTable(
  'audit_records',
  {
    id: uuid().primaryKey(),
    at: timestamp({ precision: 3, withTimezone: true }).notNull(),
    actor: text().notNull(),
    /** The operation's name, as in the schema. */
    action: text().notNull(),
    subjectKind: text().notNull(),
    subjectId: uuid().notNull(),
    subjectName: text().notNull(),
    reason: text(),
    /** Facts of the change; never a secret. */
    detail: jsonb().$type<Record<string, string | number | boolean | null>>().notNull(),
  },
  (table) => [
    index('audit_records_by_time').on(table.at, table.id),
    index('audit_records_by_subject').on(table.subjectId, table.at),
  ],
)
