import { and, eq, isNull } from 'drizzle-orm'
import type { Database } from '../../database/connect.ts'
import { notificationDeliveries } from '../../database/tables/notification.ts'
import { databaseTime } from '../../database/time.ts'
import type { NotificationDelivery } from './delivery.ts'
import { retryDelayMs } from './retry.ts'

/** What came of an attempt. */
export interface DeliveryResult {
  kind: 'DELIVERED' | 'FAILED' | 'INTERRUPTED'
  /** What is shown of it, such as "HTTP 503"; holds no secret. */
  text: string
}

/**
 * Writes down what came of an attempt, and when the next one follows: at once after one that was interrupted. Undefined, and nothing is changed, when the attempt was taken to be lost meanwhile.
 */
export async function concludeDelivery(
  database: Database,
  attempt: Pick<NotificationDelivery, 'id' | 'attempts' | 'createdAt'>,
  result: DeliveryResult,
): Promise<NotificationDelivery | undefined> {
  const at = await databaseTime(database)
  const [concluded] = await database
    .update(notificationDeliveries)
    .set({ ...changeAfter(attempt, result, at), lastResult: result.text.slice(0, 500).toWellFormed() })
    .where(
      and(
        eq(notificationDeliveries.id, attempt.id),
        eq(notificationDeliveries.attempts, attempt.attempts),
        eq(notificationDeliveries.status, 'PENDING'),
        isNull(notificationDeliveries.lastResult),
      ),
    )
    .returning()
  return concluded
}

function changeAfter(
  { attempts, createdAt }: Pick<NotificationDelivery, 'attempts' | 'createdAt'>,
  { kind }: DeliveryResult,
  at: Date,
): Partial<NotificationDelivery> {
  if (kind === 'DELIVERED') return { status: 'DELIVERED', deliveredAt: at }
  if (kind === 'INTERRUPTED') return { nextAttemptAt: at }
  const delayMs = retryDelayMs({ attempts, ageMs: at.getTime() - createdAt.getTime() })
  if (delayMs === null) return { status: 'FAILED' }
  return { nextAttemptAt: new Date(at.getTime() + delayMs) }
}
