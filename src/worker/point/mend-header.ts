import type { JobRun } from '../../job/handler.ts'
import { manifestDigestsOf, type RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { checkPointHeader } from '../../storage/point-header.ts'
import { mostSealedBytes, readSmall, requireDigest } from '../../storage/sealed-json.ts'
import { manifestKey, putPointHeader } from '../../storage/vault-layout.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import { storageOf } from '../subjects.ts'
import { certainOf } from './damage.ts'

/**
 * Writes a point's plain header anew, of which only that sentence is wrong: all that it says is known from the catalogue and
 * the manifest, which is the recorded one. Where it cannot be written, that is told, for the point can be restored all the same.
 */
export async function mendHeader(
  context: WorkerContext,
  run: JobRun,
  { point, vault, sentence }: { point: RecoveryPoint; vault: Vault; sentence: string },
): Promise<void> {
  await certainOf(context, vault, [sentence])
  await run.confirm()
  const storage = storageOf(context, vault)
  try {
    const key = manifestKey(point.prefix)
    const stored = await readSmall(storage, key, { mostBytes: mostSealedBytes, signal: run.signal })
    const manifest = { storedBytes: stored.length, storedSha256: requireDigest(key, stored, manifestDigestsOf(point)) }
    const header = { recoveryPointId: point.id, instanceId: point.instanceId, vaultId: point.vaultId }
    await putPointHeader(storage, point.prefix, { header, manifest, createdAt: point.createdAt })
    await checkPointHeader(storage, point.prefix, manifest)
    run.warn(`${sentence} It was written anew.`)
  } catch (cause) {
    run.signal.throwIfAborted()
    run.warn(`${sentence} It could not be written anew: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}
