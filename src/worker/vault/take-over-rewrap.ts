import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { JobRun } from '../../job/handler.ts'
import type { KnownFolders } from '../../recovery-point/find-folders.ts'
import { manifestDigestsOf } from '../../recovery-point/recovery-point.ts'
import { recordFoundRewrap } from '../../recovery-point/rewrap.ts'
import type { PointFolder } from '../../storage/point-folders.ts'
import { checkPointHeader, readPointHeader } from '../../storage/point-header.ts'
import { isAboutStored, StorageError } from '../../storage/storage-error.ts'
import { headerKey, manifestKey, putPointHeader } from '../../storage/vault-layout.ts'
import type { WorkerContext } from '../context.ts'
import type { OpenedVault } from './open-imported.ts'
import { type FoundPoint, readFoundPoint } from './read-found-point.ts'

export interface KnownFolder {
  folder: PointFolder
  point: KnownFolders['points'][number]
}

/**
 * Where rotations that the catalogue does not know of have wrapped other keys around the manifest of a known point, has it
 * know that manifest: the recorded one again, byte for byte, but for its keys; a point that was suspect for that alone is so no
 * more. Any other stays what it is for the catalogue, which is damage. Answers whether it was one.
 */
export async function takeOverRewrap(
  context: WorkerContext,
  run: JobRun,
  { opened, folder, point }: KnownFolder & { opened: OpenedVault },
): Promise<boolean> {
  const recorded = manifestDigestsOf(point)
  try {
    const { storedSha256, rewrappedSha256 } = (await readPointHeader(opened.storage, folder.prefix)).manifest
    // Where a rotation died while it replaced the manifest, the header names two: which of them lies there is to be seen.
    if (rewrappedSha256 === undefined && recorded.includes(storedSha256)) return false
    const found = await readFoundPoint(opened, folder)
    if (recorded.includes(found.manifestSha256)) return false
    if (found.manifest.recoveryPointId !== point.id || !found.isRewrapOf(recorded)) return false
    const { manifestSha256, manifestRecipient, recipient } = found
    await run.confirm()
    if (rewrappedSha256 !== undefined) await endRewrap(run, opened, found)
    const taken = {
      recoveryPointId: point.id,
      recorded: point.manifestSha256,
      manifestSha256,
      manifestRecipient,
      recipient,
      provenFiles: [manifestKey(folder.prefix), ...(await provenHeader(opened, found))],
    }
    return await context.database.transaction(async (tx) => {
      let isTaken = false
      await recountOverdue(tx, found.manifest.instance.id, async () => {
        isTaken = await recordFoundRewrap(tx, taken)
      })
      return isTaken
    })
  } catch (cause) {
    // What is damaged in the vault is for a verification to find and tell.
    if (!isAboutStored(cause)) throw cause
    return false
  }
}

/** Has the header name the one manifest that lies there. Where it cannot be written that is told: a verification mends it. */
async function endRewrap(run: JobRun, { storage, vaultId }: OpenedVault, found: FoundPoint): Promise<void> {
  const { prefix, manifestSha256: storedSha256, manifestBytes: storedBytes } = found
  const { recoveryPointId, instance, createdAt } = found.manifest
  const header = { recoveryPointId, instanceId: instance.id, vaultId }
  try {
    const manifest = { storedBytes, storedSha256 }
    await putPointHeader(storage, prefix, { header, manifest, createdAt: new Date(createdAt) })
  } catch (cause) {
    run.signal.throwIfAborted()
    run.warn(
      `${headerKey(prefix)} could not be written anew: ${cause instanceof Error ? cause.message : String(cause)}`,
    )
  }
}

async function provenHeader(
  { storage, vaultId }: OpenedVault,
  { prefix, manifest, manifestSha256: storedSha256 }: FoundPoint,
): Promise<string[]> {
  const { recoveryPointId, instance, createdAt } = manifest
  const facts = { recoveryPointId, instanceId: instance.id, vaultId, createdAt }
  try {
    await checkPointHeader(storage, prefix, { storedSha256, facts })
    return [headerKey(prefix)]
  } catch (cause) {
    if (cause instanceof StorageError && cause.subject === headerKey(prefix)) return []
    throw cause
  }
}
