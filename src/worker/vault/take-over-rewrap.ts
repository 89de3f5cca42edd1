import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { JobRun } from '../../job/handler.ts'
import type { KnownFolders } from '../../recovery-point/find-folders.ts'
import { manifestDigestsOf } from '../../recovery-point/recovery-point.ts'
import { recordFoundRewrap } from '../../recovery-point/rewrap.ts'
import type { PointFolder } from '../../storage/point-folders.ts'
import { checkPointHeader, readPointHeader } from '../../storage/point-header.ts'
import { isAboutStored, StorageError } from '../../storage/storage-error.ts'
import { headerKey, manifestKey } from '../../storage/vault-layout.ts'
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
    const { manifest } = await readPointHeader(opened.storage, folder.prefix)
    if ([manifest.storedSha256, manifest.rewrappedSha256 ?? ''].some((digest) => recorded.includes(digest)))
      return false
    const found = await readFoundPoint(opened, folder)
    if (found.manifest.recoveryPointId !== point.id || !found.isRewrapOf(recorded)) return false
    const { manifestSha256, manifestRecipient, recipient } = found
    await run.confirm()
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
