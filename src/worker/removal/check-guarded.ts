import type { JobRun } from '../../job/handler.ts'
import { findGuardedPoints, findRecoveryPoints } from '../../recovery-point/find.ts'
import { lossesOf } from '../../storage/point-folders.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import type { WorkerContext } from '../context.ts'
import { type ComparedVault, recordLoss } from './compare-vault.ts'

/**
 * Makes sure that the points which are to be left when others go are really in the vault. What is found lost is written down
 * before anything is removed, so that the best of what was chosen for removal takes its place.
 */
export async function checkGuarded(context: WorkerContext, run: JobRun, place: ComparedVault): Promise<void> {
  const { instance, vault, storage } = place
  for (;;) {
    const lost = await findLostGuarded(context, place)
    if (lost.length === 0) return
    // Only now is it certain that this was seen in the vault, not below an empty mount point.
    await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
    await run.confirm()
    for (const { recoveryPointId, damage } of lost) {
      run.warn(damage.join(' '))
      await recordLoss(context, { instanceId: instance.id, recoveryPointId, damage })
    }
  }
}

async function findLostGuarded(
  { database }: WorkerContext,
  { instance, vault, storage }: ComparedVault,
): Promise<{ recoveryPointId: string; damage: string[] }[]> {
  // Marks count as taken back: that is what the decision on each point that goes is measured by.
  const found = await findGuardedPoints(database, [instance.id], { marked: true })
  const guarded = found.get(instance.id)?.get(vault.id)
  const ids = new Set([guarded?.newestRestorable, guarded?.bestProven].flatMap((id) => id ?? []))
  const lost = []
  for (const point of await findRecoveryPoints(database, [...ids])) {
    // Known already: there is none that is whole.
    if (point.state === 'SUSPECT' || point.damage.length > 0) continue
    const damage = await lossesOf(storage, point)
    if (damage.length > 0) lost.push({ recoveryPointId: point.id, damage })
  }
  return lost
}
