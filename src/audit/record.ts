import { randomUUID } from 'node:crypto'
import type { Database } from '../database/connect.ts'
import { type AuditFacts, auditRecords } from '../database/tables/audit.ts'
import type { AuditAction, AuditSubjectKind } from './actions.ts'

export interface AuditEntry {
  actor: string
  /** The operation's name, as in the schema. */
  action: AuditAction
  subject: { kind: AuditSubjectKind; id: string; name: string }
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
    ...whatDiffers(entry),
    detail: entry.detail ?? {},
  })
}

/** Only facts that have changed; null for a side that was not told of or has none left. */
function whatDiffers({ before, after }: AuditEntry): { before: AuditFacts | null; after: AuditFacts | null } {
  const isChanged = (name: string) => (before?.[name] ?? null) !== (after?.[name] ?? null)
  const changed = (facts: AuditFacts | undefined) => {
    const entries = Object.entries(facts ?? {}).filter(([name]) => isChanged(name))
    return entries.length === 0 ? null : Object.fromEntries(entries)
  }
  return { before: changed(before), after: changed(after) }
}
