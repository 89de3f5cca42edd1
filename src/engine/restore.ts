import type { ServerAddress } from './address.ts'
import type { RowFacts } from './count-rows.ts'
import { type RestoreRequest, stageRestore } from './stage-restore.ts'

/** What a restored database holds, for comparing, and what pg_restore warned of. */
export interface RestoreFacts {
  rows: RowFacts
  warnings: string[]
  /** What could not be restored or applied. */
  omitted: string[]
}

/**
 * Restores an archive into a database that does not exist or is empty; it appears under its name when it is complete and
 * `check`, if given, has not thrown. On any failure or abort nothing new is left and the target is untouched.
 */
export async function restoreDatabase(
  address: ServerAddress,
  { check, ...request }: RestoreRequest & { check?: (rows: RowFacts) => void | Promise<void> },
): Promise<RestoreFacts> {
  await using staged = await stageRestore(address, request)
  await check?.(staged.rows)
  await staged.publish()
  return { rows: staged.rows, warnings: staged.warnings, omitted: staged.omitted }
}
