import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { JobRun } from '../../job/handler.ts'
import { recordDamage } from '../../recovery-point/record-damage.ts'
import { findPointsToReadBack } from '../../recovery-point/record-import.ts'
import { recordProof } from '../../recovery-point/record-proof.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { readBackArtifact } from '../../storage/artifact.ts'
import type { ImportReport } from '../../vault/import/request.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import { certainOf, damageIn } from '../point/damage.ts'
import { mendHeader } from '../point/mend-header.ts'
import { openPoint } from '../point/read-point.ts'
import { keepReport } from './import-report.ts'

const pageSize = 100

/**
 * Reads every byte of the points that were made known and compares it with its digest: each is READ_BACK then, or SUSPECT.
 * Those that an earlier attempt has read are not read again.
 */
export async function readBackImported(
  context: WorkerContext,
  run: JobRun,
  { vault, report }: { vault: Vault; report: ImportReport },
): Promise<void> {
  const query = { vaultId: vault.id, limit: pageSize }
  let bytesDone = 0
  const onBytes = (bytes: number) => run.progress({ bytesDone: bytesDone + bytes })
  let page = await findPointsToReadBack(context.database, { ...query, after: null })
  for (
    ;
    page.length > 0;
    page = await findPointsToReadBack(context.database, { ...query, after: page.at(-1)?.id ?? null })
  ) {
    for (const point of page) {
      run.signal.throwIfAborted()
      const damage = await readBack(context, run, { point, vault, onBytes })
      await certainOf(context, vault, damage)
      bytesDone += point.storedBytes
      await run.confirm()
      await record(context, point, damage)
      if (damage.length > 0) report.pointsDamaged += 1
      else report.pointsReadBack += 1
      await keepReport(run, report)
    }
  }
}

async function readBack(
  context: WorkerContext,
  run: JobRun,
  { point, vault, onBytes }: { point: RecoveryPoint; vault: Vault; onBytes: (bytes: number) => void },
): Promise<string[]> {
  const { signal } = run
  const damage: string[] = []
  const onHeaderDamage = (sentence: string, seen: RecoveryPoint) =>
    mendHeader(context, run, { point: seen, vault, sentence })
  const opened = await damageIn(damage, () => openPoint(context, { point, vault, signal, onHeaderDamage }))
  if (!opened) return damage
  let before = 0
  for (const { file, digest } of opened.manifest.artifacts) {
    const count = (bytes: number) => onBytes(before + bytes)
    const key = `${point.prefix}${file}`
    await damageIn(damage, () => readBackArtifact(opened.storage, key, digest, { signal, onBytes: count }))
    before += digest.storedBytes
  }
  return damage
}

async function record(context: WorkerContext, point: RecoveryPoint, damage: string[]): Promise<void> {
  await context.database.transaction(async (tx) => {
    const now = await context.dueNow(tx)
    const of = { recoveryPointId: point.id }
    await recountOverdue(tx, point.instanceId, () =>
      damage.length > 0
        ? recordDamage(tx, { ...of, damage, level: 'READ_BACK', now })
        : recordProof(tx, { ...of, proof: 'READ_BACK', now }),
    )
  })
}
