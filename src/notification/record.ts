import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { notifications } from '../database/tables/notification.ts'

export type Notification = typeof notifications.$inferSelect
export type NotificationKind = Notification['kind']
export type NotificationSeverity = Notification['severity']

/** Told of every notification, with its id. */
export const notificationsChannel = 'holdfast_notifications'

export interface NewNotification {
  kind: NotificationKind
  severity: NotificationSeverity
  /** One sentence with names and values; no secret. */
  message: string
  recommendedActions?: readonly string[]
  about: {
    instanceId?: string | null
    vaultId?: string | null
    policyId?: string | null
    jobId?: string | null
    /** What it is about, by its name. */
    name?: string | null
  }
  /** Told once for each key; told every time when left out. */
  onceKey?: string
  now: Date
}

/**
 * Tells operators of something, in the transaction of the change itself: the feed has it exactly when the change is there,
 * and every channel that wants it delivers it later, apart from the caller.
 */
export async function recordNotification(tx: Database, { about, now, ...told }: NewNotification): Promise<void> {
  const [recorded] = await tx
    .insert(notifications)
    .values({
      id: randomUUID(),
      at: now,
      kind: told.kind,
      severity: told.severity,
      message: told.message,
      recommendedActions: [...(told.recommendedActions ?? [])],
      instanceId: about.instanceId ?? null,
      vaultId: about.vaultId ?? null,
      policyId: about.policyId ?? null,
      jobId: about.jobId ?? null,
      subjectName: about.name ?? null,
      onceKey: told.onceKey ?? null,
    })
    .onConflictDoNothing({ target: notifications.onceKey })
    .returning({ id: notifications.id })
  if (recorded) await tx.execute(sql`select pg_notify(${notificationsChannel}, ${recorded.id})`)
}
