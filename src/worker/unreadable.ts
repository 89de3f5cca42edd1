import type { ServerReport } from '../engine/inspect.ts'
import { WorkFailed } from './failure.ts'

/** A backup that leaves something out is no backup: everything must be readable before anything is written. */
export function refuseUnreadable({ unreadable }: ServerReport): void {
  if (unreadable.length === 0) return
  const onlyRows = unreadable.every((object) => object.reason === 'ROW_LEVEL_SECURITY')
  throw new WorkFailed(
    onlyRows ? 'ROW_LEVEL_SECURITY' : 'PERMISSION_DENIED',
    unreadable.map(({ database, kind, name, cure }) => `${database}: ${kind} ${name}: ${cure}`).join('\n'),
  )
}
