import type { ServerReport } from '../engine/inspect.ts'
import { WorkFailed } from './failure.ts'

/** A backup that leaves something out is no backup: everything must be readable before anything is written. */
export function refuseUnreadable({ unreadable, unreadableCount }: ServerReport): void {
  if (unreadable.length === 0) return
  const onlyRows = unreadable.every((object) => object.kind === 'ROW_LEVEL_SECURITY')
  throw new WorkFailed(
    onlyRows ? 'ROW_LEVEL_SECURITY' : 'PERMISSION_DENIED',
    [`${unreadableCount} objects cannot be read:`, ...unreadable.map(lineOf)].join('\n'),
  )
}

function lineOf({ database, name, reason, cure }: ServerReport['unreadable'][number]): string {
  return `${JSON.stringify(database)}, ${name}: ${reason} Cure: ${cure}`
}
