import { randomUUID } from 'node:crypto'
import type { Database } from '../database/connect.ts'
import { auditRecords } from '../database/tables/audit.ts'

export interface AuditEntry {
  actor: string
  /** The operation's name, as in the schema. */
  action: string
  subject: { kind: string; id: string; name: string }
  reason?: string | null
  /** Facts of the change; never a secret. */
  detail?: Record<string, string | number | boolean | null>
  now: Date
}

/** Writes down who did what to what, and why, in the transaction of the change itself. */
export async function recordAudit(tx: Database, entry: AuditEntry): Promise<void> {
  await tx.insert(auditRecords).values({
    id: randomUUID(),
    at: entry.now,
    actor: entry.actor,
    action: entry.action,
    subjectKind: entry.subject.kind,
    subjectId: entry.subject.id,
    subjectName: entry.subject.name,
    reason: entry.reason ?? null,
    detail: entry.detail ?? {},
  })
}
