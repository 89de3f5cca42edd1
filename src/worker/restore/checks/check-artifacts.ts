import type { RestoreRequest } from '../../../restore/restore.ts'
import type { RestoreCheck } from '../../../restore/validation.ts'
import type { ManifestArtifact } from '../../point/manifest.ts'
import type { OpenPoint } from '../../point/read-point.ts'
import { passed, problem, problemOf, warning } from './check.ts'

/**
 * Whether every file of a point lies in the vault with the size that was written, by one listing. One that the restore
 * does not read is a warning.
 */
export async function checkArtifacts(
  { storage, manifest }: OpenPoint,
  { prefix, request }: { prefix: string; request: RestoreRequest },
): Promise<RestoreCheck[]> {
  const stored = new Map<string, number>()
  try {
    for await (const { key, sizeBytes } of storage.list(prefix)) stored.set(key, sizeBytes)
  } catch (cause) {
    return [problemOf('ARTIFACTS', storage.description, cause)]
  }
  const checks = manifest.artifacts.flatMap((artifact) => {
    const key = `${prefix}${artifact.file}`
    const fault = faultOf(key, artifact, stored.get(key))
    if (!fault) return []
    if (isRead(artifact, request)) return problem('ARTIFACTS', fault.code, key, fault.message)
    return warning('ARTIFACTS', key, `${fault.message} This restore does not need it.`, [
      'Verify the recovery point: others may need it.',
    ])
  })
  if (checks.length > 0) return checks
  const all = manifest.artifacts.length === 1 ? 'The one file is' : `All ${manifest.artifacts.length} files are`
  return [passed('ARTIFACTS', storage.description, `${all} there, with the size that was written.`)]
}

/** Whether a restore opens the artifact. */
export function isRead({ kind, database }: ManifestArtifact, request: RestoreRequest): boolean {
  if (kind === 'GLOBALS') return request.kind === 'FILES'
  const names = request.databases.map((each) => (typeof each === 'string' ? each : each.name))
  return database !== null && names.includes(database)
}

function faultOf(key: string, { digest }: ManifestArtifact, sizeBytes: number | undefined) {
  if (sizeBytes === digest.storedBytes) return undefined
  return sizeBytes === undefined
    ? ({ code: 'STORAGE_OBJECT_MISSING', message: `${key} is missing from the vault.` } as const)
    : ({
        code: 'ARTIFACT_DAMAGED',
        message: `${key} has ${sizeBytes} bytes in the vault; ${digest.storedBytes} were written.`,
      } as const)
}
