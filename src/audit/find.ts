import { inArray } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { keyset, type Page, type PageRequest, pageOf } from '../database/page.ts'
import { auditRecords } from '../database/tables/audit.ts'

/** One line of the audit log: who did what to what, when and why. */
export type AuditRecord = typeof auditRecords.$inferSelect

/** The records with these ids, in any order; ids of none are left out. */
export async function findAuditRecords(database: Database, ids: readonly string[]): Promise<AuditRecord[]> {
  if (ids.length === 0) return []
  return database
    .select()
    .from(auditRecords)
    .where(inArray(auditRecords.id, [...ids]))
}

/** One page of the audit log, newest first. */
export async function pageAuditRecords(
  database: Database,
  { page }: { page: PageRequest },
): Promise<Page<AuditRecord>> {
  const { where, orderBy, limit } = keyset({ at: auditRecords.at, id: auditRecords.id }, page)
  const rows = await database
    .select()
    .from(auditRecords)
    .where(where)
    .orderBy(...orderBy)
    .limit(limit)
  return pageOf(rows, page)
}

/** How many records the audit log has. */
export async function countAuditRecords(database: Database): Promise<number> {
  return database.$count(auditRecords)
}
