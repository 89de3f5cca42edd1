import { findVaultsToMeasure, recordSpace } from '../../vault/record-space.ts'
import type { WorkerContext } from '../context.ts'
import { storageOf } from '../subjects.ts'
import type { Chore } from './clock.ts'

const everyMs = 60 * 60_000
const mostAtOnce = 100

/** A place that has not answered by then is passed over, ms. */
const longestAnswerMs = 30_000
/** Asked and not answered yet: asked again, a mount that hangs would take one thread after the other. */
const unanswered = new Set<string>()

/** Looks once an hour how much space each vault has left. A vault that cannot be asked is left as it was, and asked again. */
export const checkSpaceChore: Chore = { name: 'check the space of vaults', everyMs: 60_000, run: checkSpace }

async function checkSpace(context: WorkerContext, now: Date): Promise<void> {
  const { database, log } = context
  const before = new Date(now.getTime() - everyMs)
  for (const vault of await findVaultsToMeasure(database, { before, limit: mostAtOnce })) {
    if (unanswered.has(vault.id)) continue
    try {
      const freeBytes = (await withinTime(vault.id, storageOf(context, vault).freeBytes())) ?? null
      await recordSpace(database, { vaultId: vault.id, freeBytes, now })
    } catch (cause) {
      log.warn({ err: cause, vaultId: vault.id }, 'A vault could not be asked for its space.')
    }
  }
}

async function withinTime<Answer>(vaultId: string, answer: Promise<Answer>): Promise<Answer> {
  unanswered.add(vaultId)
  const settled = answer.finally(() => unanswered.delete(vaultId))
  const { promise: tooLong, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`It did not answer within ${longestAnswerMs} ms.`)), longestAnswerMs)
  return Promise.race([settled, tooLong]).finally(() => clearTimeout(timer))
}
