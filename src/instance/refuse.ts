import { eq } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { NotFound, type Refusal } from '../refusal.ts'
import { type InstanceOperation, OperationNotAllowed } from './states.ts'

/** Why an operation found no instance in a state that allows it: there is none, or its state does not. */
export async function whyNotAllowed(tx: Database, instanceId: string, operation: InstanceOperation): Promise<Refusal> {
  const [instance] = await tx.select().from(backupInstances).where(eq(backupInstances.id, instanceId))
  return instance ? new OperationNotAllowed(operation, instance) : new NotFound('backup instance')
}
