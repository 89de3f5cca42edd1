import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'

const mostMinutes = 5

/**
 * Refuses to remove anything while the clock of this machine and the database's are more than five minutes apart: one of
 * them is wrong, and it may be the one that decides. Throws CLOCKS_DISAGREE.
 */
export async function checkClocks({ dueNow, machineNow }: Pick<WorkerContext, 'dueNow' | 'machineNow'>): Promise<void> {
  const databaseAt = await dueNow()
  const machineAt = machineNow()
  const minutesApart = Math.abs(databaseAt.getTime() - machineAt.getTime()) / 60_000
  if (minutesApart <= mostMinutes) return
  throw new WorkFailed(
    'CLOCKS_DISAGREE',
    `The database's clock shows ${databaseAt.toISOString()}, the worker's ${machineAt.toISOString()}.`,
  )
}
