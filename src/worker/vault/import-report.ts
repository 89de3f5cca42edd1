import type { JobRun } from '../../job/handler.ts'
import type { ImportReport } from '../../vault/import/request.ts'
import type { OpenedVault } from './open-imported.ts'

/** What attempts of an import have made known and read back, for those after them: it is in no later one's sight. */
type Done = Pick<
  ImportReport,
  'pointsImported' | 'manifestsTakenOver' | 'pointsReadBack' | 'pointsDamaged' | 'instances' | 'servers'
>

function doneBefore({ kept }: JobRun['job']): Done {
  const counts = { pointsImported: 0, manifestsTakenOver: 0, pointsReadBack: 0, pointsDamaged: 0 }
  // Written by the attempts of this very job only; one of an older version may have counted less.
  return structuredClone({ ...counts, instances: [], servers: [], ...(kept as Partial<Done> | null) })
}

/** The report of an import that begins, with what its earlier attempts have done. */
export function beginReport(
  run: JobRun,
  { vaultId, vaultName, dryRun }: Pick<OpenedVault, 'vaultId' | 'vaultName'> & { dryRun: boolean },
): ImportReport {
  const done = doneBefore(run.job)
  // What those have made known is found again as known.
  const alreadyKnown = 0 - done.pointsImported
  return { vaultId, vaultName, dryRun, ...done, alreadyKnown, unreadableCount: 0, unreadable: [] }
}

/** Writes down what the import has done so far. Throws the RunStopped when the run does not hold the job any more. */
export async function keepReport(run: JobRun, report: ImportReport): Promise<void> {
  const { pointsImported, manifestsTakenOver, pointsReadBack, pointsDamaged, instances, servers } = report
  const done = { pointsImported, manifestsTakenOver, pointsReadBack, pointsDamaged, instances, servers } satisfies Done
  await run.keep(done)
}
