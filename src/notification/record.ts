import { randomUUID } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { notificationChannels, notificationDeliveries, notifications } from '../database/tables/notification.ts'

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
  /** Delivered to this channel alone, whatever the channel wants; to all that want it when left out. */
  channelId?: string
  now: Date
}

/**
 * Tells operators of something, in the transaction of the change itself: the feed has it exactly when the change is there,
 * and every channel that wants it delivers it later, apart from the caller. Answers its id; undefined when it was told before.
 */
export async function recordNotification(
  tx: Database,
  { about, now, ...told }: NewNotification,
): Promise<string | undefined> {
  const record = tx
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
  // One statement: nothing is told without its deliveries. A channel that is being deleted is waited for, and then left out.
  const [recorded] = await tx.execute<{ id: string }>(sql`
    with told as ${record},
    addressed as (
      insert into ${notificationDeliveries} (id, channel_id, notification_id, status, created_at, next_attempt_at)
      select gen_random_uuid(), channel.id, told.id, 'PENDING', clock_timestamp(), clock_timestamp()
      from told cross join ${notificationChannels} channel
      where ${wanting(told)}
      for key share of channel
    )
    select id, pg_notify(${notificationsChannel}, id::text) from told`)
  return recorded?.id
}

function wanting({ channelId, kind, severity }: Pick<NewNotification, 'channelId' | 'kind' | 'severity'>): SQL {
  if (channelId !== undefined) return sql`channel.id = ${channelId}::uuid`
  return sql`(channel.kinds is null or ${kind}::notification_kind = any(channel.kinds))
    and channel.min_severity <= ${severity}::notification_severity`
}
