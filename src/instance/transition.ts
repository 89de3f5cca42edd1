import { and, eq, inArray, type SQL } from 'drizzle-orm'
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import type { BackupInstance } from './instance.ts'
import { whyNotAllowed } from './refuse.ts'
import { type InstanceOperation, startsFrom, transitions } from './states.ts'

export type InstanceChange = Omit<PgUpdateSetSource<typeof backupInstances>, 'id' | 'state' | 'stateSince'>

/**
 * Locks an instance for an operation and answers it as it is before; refuses when there is none or its state does not allow
 * the operation. No other operation changes it before the transaction ends.
 */
export async function lockFor(tx: Database, instanceId: string, operation: InstanceOperation): Promise<BackupInstance> {
  const [instance] = await tx.select().from(backupInstances).where(mayStart(instanceId, operation)).for('update')
  if (!instance) throw await whyNotAllowed(tx, instanceId, operation)
  return instance
}

/** Changes an instance and moves it to the state that the table of transitions names for the operation; refuses as lockFor. */
export async function moveInstance(
  tx: Database,
  instanceId: string,
  { operation, change = {}, now }: { operation: InstanceOperation; change?: InstanceChange; now: Date },
): Promise<BackupInstance> {
  const { to } = transitions[operation]
  const [moved] = await tx
    .update(backupInstances)
    .set({ ...change, ...(to !== 'same' && { state: to, stateSince: now }) })
    .where(mayStart(instanceId, operation))
    .returning()
  if (!moved) throw await whyNotAllowed(tx, instanceId, operation)
  return moved
}

function mayStart(instanceId: string, operation: InstanceOperation): SQL | undefined {
  return and(eq(backupInstances.id, instanceId), inArray(backupInstances.state, startsFrom(operation)))
}
