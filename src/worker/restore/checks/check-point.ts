import type { RecoveryPoint } from '../../../recovery-point/recovery-point.ts'
import type { RestoreRequest } from '../../../restore/restore.ts'
import type { RestoreCheck } from '../../../restore/validation.ts'
import { checkPointHeader } from '../../../storage/point-header.ts'
import { StorageError } from '../../../storage/storage-error.ts'
import { headerKey, manifestKey } from '../../../storage/vault-layout.ts'
import type { Vault } from '../../../vault/vault.ts'
import type { WorkerContext } from '../../context.ts'
import { headerMarkOf, type OpenPoint, openPoint } from '../../point/read-point.ts'
import { storageOf } from '../../subjects.ts'
import { passed, problem, problemOf, skipped, warning } from './check.ts'
import { checkArtifacts } from './check-artifacts.ts'
import { checkContents } from './check-contents.ts'

export interface PointToCheck {
  point: RecoveryPoint
  vault: Vault
  request: RestoreRequest
  signal: AbortSignal
}

export interface PointChecks {
  checks: RestoreCheck[]
  /** Null when it could not be opened. */
  opened: OpenPoint | null
  /** What is missing or not as it was written, one sentence each. */
  damage: string[]
}

/** Looks for everything in the catalogue and the vault that would make a restore from a point fail; reads no archive. */
export async function checkPoint(context: WorkerContext, given: PointToCheck): Promise<PointChecks> {
  const { point, request } = given
  const known = [checkState(point), checkProof(point, context.now())]
  const { opened, checks } = await open(context, given)
  if (!opened) {
    const reason = 'The manifest, which names them, could not be read.'
    const unknown = [skipped('ARTIFACTS', 'files', reason), skipped('CONTENTS', 'databases', reason)]
    return { checks: [...known, ...checks, ...unknown], opened, damage: damageIn(checks) }
  }
  const artifacts = await checkArtifacts(opened, { prefix: point.prefix, request })
  return {
    checks: [...known, ...checks, ...artifacts, ...checkContents(opened.manifest, request)],
    opened,
    damage: damageIn([...checks, ...artifacts]),
  }
}

function checkState({ state, damage, pointInTime }: RecoveryPoint): RestoreCheck {
  const subject = pointInTime.toISOString()
  switch (state) {
    case 'AVAILABLE':
      return passed('POINT_STATE', subject, 'Nothing is known against the recovery point.')
    case 'SUSPECT':
      return problem('POINT_STATE', 'ARTIFACT_DAMAGED', subject, `The recovery point is suspect: ${damage.join(' ')}`, [
        'When the cause is cured (a disk that came back, say), verify the point again.',
      ])
    case 'REMOVING':
      return problem('POINT_STATE', 'GONE', subject, 'The recovery point was chosen for removal: its time is over.')
  }
}

/** The levels at which every archive was opened at least once. */
const decoded: readonly RecoveryPoint['proof'][] = ['DECODED', 'RESTORED']

function checkProof(point: RecoveryPoint, now: Date): RestoreCheck {
  const { proof, provenAt } = point
  const days = Math.max(0, Math.floor((now.getTime() - provenAt.getTime()) / 86_400_000))
  const age = days === 0 ? 'today' : days === 1 ? '1 day ago' : `${days} days ago`
  const shown = `Shown to be good as far as ${proof}, ${age} (${provenAt.toISOString()}).`
  if (decoded.includes(proof)) return passed('PROOF', proof, shown)
  return warning('PROOF', proof, `${shown} Its archives have not been decoded since they were written.`, [
    'Verify the recovery point first, with verifyRecoveryPoint.',
  ])
}

async function open(
  context: WorkerContext,
  { point, vault, signal }: PointToCheck,
): Promise<{ opened: OpenPoint | null; checks: RestoreCheck[] }> {
  const inVault = passed('VAULT', vault.name, `Vault "${vault.name}" answers, and is the one it should be.`)
  try {
    const damage: string[] = []
    const onHeaderDamage = (sentence: string) => void damage.push(sentence)
    const opened = await openPoint(context, { point, vault, signal, onHeaderDamage })
    const message = 'The manifest and the header beside it are what was recorded.'
    const manifest = damage.map((sentence) =>
      warning('MANIFEST', headerKey(point.prefix), `${sentence} Nothing that is restored depends on it.`, [
        'Verify the recovery point, with verifyRecoveryPoint, which writes the header anew.',
      ]),
    )
    if (damage.length === 0) manifest.push(passed('MANIFEST', manifestKey(point.prefix), message))
    return { opened, checks: [inVault, ...manifest] }
  } catch (cause) {
    signal.throwIfAborted()
    const files = [manifestKey(point.prefix), headerKey(point.prefix)]
    if (!(cause instanceof StorageError) || !files.includes(cause.subject)) {
      const unknown = skipped('MANIFEST', manifestKey(point.prefix), 'The vault could not be read.')
      return { opened: null, checks: [problemOf('VAULT', vault.name, cause), unknown] }
    }
    const found = problemOf('MANIFEST', cause.subject, cause)
    const header = cause.subject === headerKey(point.prefix) ? [] : await checkHeader(context, point, vault)
    return { opened: null, checks: [inVault, found, ...header] }
  }
}

/** The header, where the manifest has failed already. */
async function checkHeader(context: WorkerContext, point: RecoveryPoint, vault: Vault): Promise<RestoreCheck[]> {
  try {
    await checkPointHeader(storageOf(context, vault), point.prefix, headerMarkOf(point))
    return []
  } catch (cause) {
    return [problemOf('MANIFEST', headerKey(point.prefix), cause)]
  }
}

/** A vault that is not what it should be says nothing of the point. */
function damageIn(checks: readonly RestoreCheck[]): string[] {
  return checks.flatMap(({ kind, code, message }) =>
    kind !== 'VAULT' && (code === 'ARTIFACT_DAMAGED' || code === 'STORAGE_OBJECT_MISSING') ? message : [],
  )
}
