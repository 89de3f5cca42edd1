import { randomUUID } from 'node:crypto'
import type { Database } from '../database/connect.ts'
import { type AuditFacts, auditRecords } from '../database/tables/audit.ts'

export interface AuditEntry {
  actor: string
  /** The operation's name, as in the schema. */
  action: string
  subject: { kind: string; id: string; name: string }
  reason?: string | null
  /** What was changed, as it was and as it is; never a secret. */
  before?: AuditFacts
  after?: AuditFacts
  /** Other facts of the change; never a secret. */
  detail?: AuditFacts
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
    before: entry.before ?? null,
    after: entry.after ?? null,
    detail: entry.detail ?? {},
  })
}
