import type { JobRun } from '../../../job/handler.ts'
import type { RestoreRequest } from '../../../restore/restore.ts'
import type { RestoreCheck } from '../../../restore/validation.ts'
import type { WorkerContext } from '../../context.ts'
import { pointOf } from '../../subjects.ts'
import { checkFilesTarget } from './check-files.ts'
import { checkPoint } from './check-point.ts'
import { checkServerTarget } from './check-server.ts'

/** Everything that was found about a restore before it. */
export interface RestoreChecks {
  checks: RestoreCheck[]
  /** What is missing from the point or not as it was written, one sentence each; empty where the point is suspect already. */
  damage: string[]
  bytesNeeded: number | null
  bytesFree: number | null
  tools: string | null
}

/**
 * Looks for everything that would make a restore fail, at the point and at the target, and reads no archive. What it makes
 * to try the target is gone when it resolves, and lies under the attempt's own names until then.
 */
export async function checkRestore(
  context: WorkerContext,
  run: JobRun,
  request: RestoreRequest,
): Promise<RestoreChecks> {
  const { point, vault } = await pointOf(context, run.job)
  const found = await checkPoint(context, { point, vault, request, signal: run.signal })
  const manifest = found.opened?.manifest ?? null
  const target =
    request.kind === 'FILES'
      ? await checkFilesTarget(context, run, { point, vault, manifest, request })
      : { ...(await checkServerTarget(context, run, { point, manifest, request })), ...unknownSpace }
  run.signal.throwIfAborted()
  const { bytesNeeded, bytesFree, tools } = target
  return {
    checks: [...found.checks, ...target.checks],
    // What verifications have found is not overwritten by what can be seen without reading.
    damage: point.state === 'AVAILABLE' ? found.damage : [],
    bytesNeeded: bytesNeeded ?? (request.kind === 'SERVER' ? sourceBytesOf(point, request.databases) : null),
    bytesFree,
    tools,
  }
}

/** A server does not tell. */
const unknownSpace = { bytesNeeded: null, bytesFree: null }

function sourceBytesOf(
  point: { databases: readonly { name: string; sourceBytes: number }[] },
  chosen: readonly { name: string }[],
): number {
  const names = new Set(chosen.map(({ name }) => name))
  return point.databases.filter(({ name }) => names.has(name)).reduce((sum, { sourceBytes }) => sum + sourceBytes, 0)
}
