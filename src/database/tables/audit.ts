import { index, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

/** Small flat facts of a change; never a secret. */
export type AuditFacts = Record<string, string | number | boolean | null>

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
    /** What was changed, as it was and as it is; null where nothing was there before, or is there after. */
    before: jsonb().$type<AuditFacts>(),
    after: jsonb().$type<AuditFacts>(),
    /** Further facts of the change. */
    detail: jsonb().$type<AuditFacts>().notNull(),
  },
  (table) => [
    index('audit_records_by_time').on(table.at, table.id),
    index('audit_records_by_subject').on(table.subjectId, table.at, table.id),
    index('audit_records_by_actor').on(table.actor, table.at, table.id),
    index('audit_records_by_action').on(table.action, table.at, table.id),
  ],
)
