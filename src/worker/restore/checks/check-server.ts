import { chooseRestoreTools } from '../../../engine/choose-tools.ts'
import { findTools } from '../../../engine/find-tools.ts'
import { toleratesHarmlessError } from '../../../engine/harmless-error.ts'
import { checkTarget } from '../../../engine/target/check-target.ts'
import type { RestorePlan } from '../../../engine/target/plan.ts'
import type { JobRun } from '../../../job/handler.ts'
import type { RecoveryPoint } from '../../../recovery-point/recovery-point.ts'
import type { ServerRequest } from '../../../restore/restore.ts'
import type { RestoreCheck, RestoreCheckKind } from '../../../restore/validation.ts'
import type { WorkerContext } from '../../context.ts'
import type { Manifest } from '../../point/manifest.ts'
import { addressOf, serverOf } from '../../subjects.ts'
import { tokenOf } from '../earlier-attempts.ts'
import { neededRoles } from '../needed-roles.ts'
import { checkOf, passed, problemOf, skipped } from './check.ts'

export interface ServerToCheck {
  point: RecoveryPoint
  /** Null when it could not be read. */
  manifest: Manifest | null
  request: ServerRequest
}

export interface ServerChecks {
  checks: RestoreCheck[]
  /** The programs that would be used, and why; null when there are none. */
  tools: string | null
}

/** Looks for everything about a server, and the programs to restore with, that would make a restore into it fail. */
export async function checkServerTarget(
  context: WorkerContext,
  run: JobRun,
  given: ServerToCheck,
): Promise<ServerChecks> {
  const address = addressOf(await serverOf(context.database, given.request.serverId), context.secrets)
  const { server, findings } = await checkTarget(address, planOf(context, run, given), { signal: run.signal })
  const versions = {
    archiveToolMajor: given.point.toolMajor,
    targetVersionNumber: server?.versionNumber ?? given.point.serverVersionNumber,
  }
  const tools = await checkTools(context, versions)
  const checks = [...findings.map(checkOf), tools.check]
  return { checks: [...checks, ...notLookedAt(checks, given)], tools: tools.reason }
}

function planOf(context: WorkerContext, run: JobRun, { point, manifest, request }: ServerToCheck): RestorePlan {
  return {
    databases: request.databases.map(({ name, targetName }) => ({
      source: manifest?.databases.find(({ report }) => report.name === name)?.report ?? null,
      targetName,
      tableCount: point.databases.find((database) => database.name === name)?.tableCount ?? 0,
    })),
    roles: manifest ? neededRoles(manifest, request) : [],
    ownership: request.ownership,
    sourceVersionNumber: point.serverVersionNumber,
    // Those of pg_restore, and the one that watches it.
    connectionCount: context.restoreJobs + 1,
    token: tokenOf(run, `${run.job.attempt}_probe`),
  }
}

/** Whether there is a pg_restore that reads the archives. */
export async function checkTools(
  context: WorkerContext,
  versions: { archiveToolMajor: number; targetVersionNumber: number },
): Promise<{ check: RestoreCheck; reason: string | null }> {
  try {
    const found = await findTools({ extraDirectories: context.postgresDirectories })
    const { tools, reason } = chooseRestoreTools(found, versions)
    const harmless = toleratesHarmlessError(tools, versions.targetVersionNumber)
      ? ' It will meet one error that means nothing there, about transaction_timeout, and go on.'
      : ''
    return { check: passed('TOOLS', `pg_restore ${tools.version}`, `${reason}${harmless}`), reason }
  } catch (cause) {
    return { check: problemOf('TOOLS', 'pg_restore', cause), reason: null }
  }
}

const needConnection: readonly RestoreCheckKind[] = [
  'WRITABLE',
  'SERVER_VERSION',
  'RIGHTS',
  'LEAST_PRIVILEGE',
  'ROLES',
  'EXTENSIONS',
  'PRELOADED_LIBRARIES',
  'LOCALE',
  'TABLESPACES',
  'TARGET_DATABASE',
  'SESSIONS',
  'CONNECTIONS',
  'LOCKS',
  'FREE_SPACE',
]

const needManifest: readonly RestoreCheckKind[] = ['EXTENSIONS', 'PRELOADED_LIBRARIES', 'LOCALE', 'TABLESPACES']

/** What could not be looked at is said, so that nobody takes it for looked at. */
function notLookedAt(checks: readonly RestoreCheck[], { manifest }: ServerToCheck): RestoreCheck[] {
  const isConnected = checks.some(({ kind, status }) => kind === 'CONNECTION' && status === 'PASSED')
  if (!isConnected) return needConnection.map((kind) => skipped(kind, 'server', 'The server could not be asked.'))
  if (manifest) return []
  return needManifest
    .filter((kind) => !checks.some((check) => check.kind === kind))
    .map((kind) => skipped(kind, 'databases', 'The manifest, which says what they need, could not be read.'))
}
