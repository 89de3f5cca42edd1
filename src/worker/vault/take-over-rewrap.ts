import type { JobRun } from '../../job/handler.ts'
import type { KnownFolders } from '../../recovery-point/find-folders.ts'
import { manifestDigestsOf } from '../../recovery-point/recovery-point.ts'
import { recordFoundRewrap } from '../../recovery-point/rewrap.ts'
import type { PointFolder } from '../../storage/point-folders.ts'
import { readPointHeader } from '../../storage/point-header.ts'
import { isAboutStored } from '../../storage/storage-error.ts'
import type { WorkerContext } from '../context.ts'
import type { OpenedVault } from './open-imported.ts'
import { readFoundPoint } from './read-found-point.ts'

export interface KnownFolder {
  folder: PointFolder
  point: KnownFolders['points'][number]
}

/**
 * Where rotations that the catalogue does not know of have wrapped other keys around the manifest of a known point, has it
 * know that manifest: the recorded one again, byte for byte, but for its keys. Any other stays what it is for the catalogue,
 * which is damage.
 */
export async function takeOverRewrap(
  context: WorkerContext,
  run: JobRun,
  { opened, folder, point }: KnownFolder & { opened: OpenedVault },
): Promise<void> {
  const recorded = manifestDigestsOf(point)
  try {
    const { manifest } = await readPointHeader(opened.storage, folder.prefix)
    if ([manifest.storedSha256, manifest.rewrappedSha256 ?? ''].some((digest) => recorded.includes(digest))) return
    const found = await readFoundPoint(opened, folder)
    if (found.manifest.recoveryPointId !== point.id || !found.isRewrapOf(recorded)) return
    const { manifestSha256, manifestRecipient, recipient } = found
    await run.confirm()
    await recordFoundRewrap(context.database, {
      recoveryPointId: point.id,
      recorded: point.manifestSha256,
      manifestSha256,
      manifestRecipient,
      recipient,
    })
    run.note('Key of the manifest taken over', folder.prefix)
  } catch (cause) {
    // What is damaged in the vault is for a verification to find and tell.
    if (!isAboutStored(cause)) throw cause
  }
}
