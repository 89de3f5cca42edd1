import type { JobRun } from '../../../job/handler.ts'
import type { RecoveryPoint } from '../../../recovery-point/recovery-point.ts'
import type { FilesRequest } from '../../../restore/restore.ts'
import type { RestoreCheck } from '../../../restore/validation.ts'
import { besideOf } from '../../../storage/directory/file-set.ts'
import type { Vault } from '../../../vault/vault.ts'
import type { WorkerContext } from '../../context.ts'
import type { Manifest } from '../../point/manifest.ts'
import { checkContainerTarget } from './check-container.ts'
import { checkDirectoryTarget } from './check-directory.ts'
import { checkTools } from './check-server.ts'
import { checkFilesSpace, filesBytes } from './check-space.ts'

export interface FilesToCheck {
  point: RecoveryPoint
  vault: Vault
  /** Null when it could not be read. */
  manifest: Manifest | null
  request: FilesRequest
}

export interface FilesChecks {
  checks: RestoreCheck[]
  bytesNeeded: number | null
  bytesFree: number | null
  /** The programs that would be used, and why; null when none are needed or there are none. */
  tools: string | null
}

/** Looks for everything about the target of a restore as files that would make it fail, and leaves nothing there. */
export async function checkFilesTarget(
  context: WorkerContext,
  run: JobRun,
  { point, vault, manifest, request }: FilesToCheck,
): Promise<FilesChecks> {
  const { target, format } = request
  const [place, tools] = await Promise.all([
    target.kind === 'DIRECTORY'
      ? checkDirectoryTarget(context, { directory: target.path, beside: besideOf(target.path, run.job) })
      : checkContainerTarget(context, { job: run.job, request, vault }),
    format === 'PLAIN' ? checkTools(context, versionsOf(point)) : undefined,
  ])
  const subject = target.kind === 'DIRECTORY' ? target.path : target.folder
  const bytesNeeded = manifest && filesBytes(manifest, request)
  const { bytesFree } = place
  const space = checkFilesSpace(subject, { bytesNeeded, sqlBytes: sqlBytesOf(point, request), bytesFree })
  const checks = [...place.checks, space, ...(tools ? [tools.check] : [])]
  return { checks, bytesNeeded, bytesFree, tools: tools?.reason ?? null }
}

function versionsOf({ toolMajor, serverVersionNumber }: RecoveryPoint) {
  return { archiveToolMajor: toolMajor, targetVersionNumber: serverVersionNumber }
}

/** What SQL may take, which cannot be told from the size of an archive; null for archives. */
function sqlBytesOf({ databases }: RecoveryPoint, { format, databases: chosen }: FilesRequest): number | null {
  if (format !== 'PLAIN') return null
  return databases.filter(({ name }) => chosen.includes(name)).reduce((sum, { sourceBytes }) => sum + sourceBytes, 0)
}
