import { and, eq, gte, inArray, lt, type SQL } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { auditRecords } from '../database/tables/audit.ts'
import type { AuditAction, AuditSubjectKind } from './actions.ts'

/** One line of the audit log: who did what to what, when and why. */
export type AuditRecord = typeof auditRecords.$inferSelect

/** Which records; what is left out does not matter, an empty list matches none. */
export interface AuditFilter {
  actor?: string
  actions?: readonly AuditAction[]
  subjectKind?: AuditSubjectKind
  subjectId?: string
  /** From this moment on. */
  since?: Date
  /** Before this moment, without it. */
  until?: Date
}

/** The records with these ids, in any order; ids of none are left out. */
export async function findAuditRecords(database: Database, ids: readonly string[]): Promise<AuditRecord[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(auditRecords)
    .where(inArray(auditRecords.id, [...ids]))
}

/** One page of the matching records, newest first. */
export async function pageAuditRecords(
  database: Database,
  { filter = {}, page }: { filter?: AuditFilter; page: PageRequest },
): Promise<Page<AuditRecord>> {
  const { where, orderBy, limit } = keyset({ at: auditRecords.at, id: auditRecords.id }, page)
  const rows = await database
    .select()
    .from(auditRecords)
    .where(and(recordsMatching(filter), where))
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many records match. */
export async function countAuditRecords(database: Database, filter: AuditFilter = {}): Promise<number> {
  return database.$count(auditRecords, recordsMatching(filter))
}

function recordsMatching(filter: AuditFilter): SQL | undefined {
  return and(
    filter.actor !== undefined ? eq(auditRecords.actor, filter.actor) : undefined,
    filter.actions && inArray(auditRecords.action, [...filter.actions]),
    filter.subjectKind !== undefined ? eq(auditRecords.subjectKind, filter.subjectKind) : undefined,
    filter.subjectId !== undefined ? eq(auditRecords.subjectId, filter.subjectId) : undefined,
    filter.since && gte(auditRecords.at, filter.since),
    filter.until && lt(auditRecords.at, filter.until),
  )
}
