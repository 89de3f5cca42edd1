import type { BackupInstance } from '../../instance/instance.ts'
import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { JobRun } from '../../job/handler.ts'
import { findKnownFolders, type KnownFolders } from '../../recovery-point/find-folders.ts'
import { recordDamage } from '../../recovery-point/record-damage.ts'
import type { Storage } from '../../storage/contract.ts'
import { holdsAll, isEmpty, listPointFolders, lossesOf, type PointFolder } from '../../storage/point-folders.ts'
import { checkVault, jobIdOf } from '../../storage/vault-layout.ts'
import { orphanSentence, recordOrphans, type SeenOrphan } from '../../vault/record-orphans.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'

export interface ComparedVault {
  instance: BackupInstance
  vault: Vault
  storage: Storage
}

/**
 * Finds where the vault and the catalogue disagree about an instance, both ways, and writes it down; points that lost
 * files become suspect. Removes nothing. What cannot be listed is an error, and nothing is concluded from it. `onFolder` is
 * told of each folder as it is looked at.
 */
export async function compareWithVault(
  context: WorkerContext,
  run: JobRun,
  { onFolder, ...place }: ComparedVault & { onFolder: () => void },
): Promise<void> {
  const { instance, vault, storage } = place
  const { database } = context
  const folders = await listPointFolders(storage, instance.id, { onFolder })
  const known = await findKnownFolders(database, { instanceId: instance.id, vaultId: vault.id })
  const strays = await findStrays(storage, folders, known)
  const lost = await findLost(storage, folders, { points: known.points, onPoint: onFolder })
  // Only now is it certain that all of this was seen in the vault, not below an empty mount point.
  await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
  await run.confirm()
  for (const { point, damage } of lost) {
    if (point.state === 'AVAILABLE') {
      await recordLoss(context, { instanceId: instance.id, recoveryPointId: point.id, damage })
    }
  }
  const orphans = [...strays, ...lost.map(({ orphan }) => orphan)]
  await recordOrphans(database, { vault, instance, orphans, jobId: run.job.id, now: context.now() })
  if (orphans.length > 0) run.warn(orphanSentence(orphans, vault.name, instance.name))
}

/** Writes down that files of a point are not there any more, and what that means for when its instance is overdue. */
export async function recordLoss(
  { database, now }: Pick<WorkerContext, 'database' | 'now'>,
  { instanceId, recoveryPointId, damage }: { instanceId: string; recoveryPointId: string; damage: string[] },
): Promise<void> {
  const found = { recoveryPointId, damage, level: 'READ_BACK' as const, now: now() }
  await database.transaction((tx) => recountOverdue(tx, instanceId, () => recordDamage(tx, found)))
}

/** Folders of no point and of no backup or copy that is still being made. */
async function findStrays(
  storage: Storage,
  folders: ReadonlyMap<string, PointFolder>,
  { points, pendingJobIds }: KnownFolders,
): Promise<SeenOrphan[]> {
  const prefixes = new Set(points.map(({ prefix }) => prefix))
  const strays: SeenOrphan[] = []
  for (const { prefix, objectCount, sizeBytes } of folders.values()) {
    if (prefixes.has(prefix) || pendingJobIds.has(jobIdOf(prefix))) continue
    // A backup or copy that failed meanwhile has removed what it wrote.
    if (prefix.endsWith('/') && (await isEmpty(storage, prefix))) continue
    strays.push({ prefix, kind: 'BYTES_WITHOUT_ROW', recoveryPointId: null, objectCount, sizeBytes })
  }
  return strays
}

/** Points of which something is not there; those on their way out may lose it. */
async function findLost(
  storage: Storage,
  folders: ReadonlyMap<string, PointFolder>,
  { points, onPoint }: Pick<KnownFolders, 'points'> & { onPoint: () => void },
): Promise<{ point: KnownFolders['points'][number]; damage: string[]; orphan: SeenOrphan }[]> {
  const lost = []
  for (const point of points) {
    const folder = folders.get(point.prefix)
    if (point.state === 'REMOVING' || holdsAll(folder, point)) continue
    onPoint()
    // A point that was recorded while the vault was being listed is not in the list.
    const damage = await lossesOf(storage, point)
    if (damage.length === 0) continue
    const { objectCount = 0, sizeBytes = 0 } = folder ?? {}
    const orphan: SeenOrphan = {
      prefix: point.prefix,
      kind: 'ROW_WITHOUT_BYTES',
      recoveryPointId: point.id,
      objectCount,
      sizeBytes,
    }
    lost.push({ point, damage, orphan })
  }
  return lost
}
