import { failureOf } from '../../failure.ts'
import { findProofAssertions } from '../../instance/find-proof-assertions.ts'
import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { recordDamage, recordDamageOfTwins } from '../../recovery-point/record-damage.ts'
import { recordEvidence } from '../../recovery-point/record-evidence.ts'
import { recordProof } from '../../recovery-point/record-proof.ts'
import {
  proofLevels,
  type RecoveryPoint,
  type VerifyLevel,
  verifyRequestOf,
} from '../../recovery-point/recovery-point.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { failureFrom, WorkFailed } from '../failure.ts'
import { contentsOf } from '../point/contents-of.ts'
import { certainOf, damageIn } from '../point/damage.ts'
import { mendHeader } from '../point/mend-header.ts'
import { type OpenPoint, openPoint } from '../point/read-point.ts'
import { recordPointContents } from '../point/stage-contents.ts'
import { pointOf } from '../subjects.ts'
import { decodePoint } from './decode-point.ts'
import { eachArtifact } from './each-artifact.ts'
import { restorePoint } from './restore-point.ts'
import { sweepScratch } from './scratch-folder.ts'
import { boundedFindings, type Checked, codeOf, type Findings, hasNone } from './verdict.ts'

/**
 * Verifies recovery points to the level that was asked. Only what is wrong with the point itself makes it suspect: whatever
 * kept the worker from looking is the job's failure alone.
 */
export function verifyHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => verify(context, run),
    abandon: async ({ job }) => {
      if (await sweepScratch(context, { of: job.id })) return
      throw new WorkFailed('SCRATCH_SERVER_FAILED', `What it left in ${context.scratchDirectory} could not be removed.`)
    },
  }
}

async function verify(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { level } = verifyRequestOf(run.job)
  const { point, vault } = await pointOf(context, run.job)
  const startedAt = await context.dueNow()
  run.note('Level', level)
  await sweepScratch(context)
  const findings: Findings = { damage: [], differences: [], unanswered: [] }
  const onHeaderDamage = (sentence: string, seen: RecoveryPoint) =>
    mendHeader(context, run, { point: seen, vault, sentence })
  const opened = await damageIn(findings.damage, () =>
    openPoint(context, { point, vault, signal: run.signal, onHeaderDamage }),
  )
  const looked = opened ? await lookDespite(context, run, { level, point, opened, findings }) : {}
  const checked = {
    artifacts: opened ? opened.manifest.artifacts.length + 1 : 0,
    storedBytes: opened ? point.storedBytes : 0,
    ...looked,
  }
  await certainOf(context, vault, findings.damage)
  const verdict = { point, level, startedAt, checked }
  if (opened && hasNone(findings)) {
    await recordPointContents(context, run, { recoveryPointId: point.id, facts: contentsOf(opened.manifest) })
  }
  return hasNone(findings) ? proven(context, run, verdict) : failed(context, run, verdict, findings)
}

interface Looking {
  level: VerifyLevel
  point: RecoveryPoint
  opened: OpenPoint
  findings: Findings
}

/** What was found stands, whatever keeps the worker from looking at the rest; without findings that is the job's failure. */
async function lookDespite(context: WorkerContext, run: JobRun, looking: Looking): Promise<Partial<Checked>> {
  const { findings } = looking
  try {
    const looked = await look(context, run, looking)
    if (findings.unanswered.length > 0 && hasNone(findings)) {
      throw new WorkFailed('ASSERTION_UNUSABLE', findings.unanswered.join('\n'))
    }
    for (const sentence of findings.unanswered) run.warn(sentence)
    return looked
  } catch (cause) {
    run.signal.throwIfAborted()
    if (hasNone(findings)) throw cause
    run.warn(`The rest was not looked at: ${failureFrom(cause, context.log).message}`)
    return {}
  }
}

async function look(
  context: WorkerContext,
  run: JobRun,
  { level, point, opened, findings }: Looking,
): Promise<Partial<Checked>> {
  const { damage } = findings
  switch (level) {
    case 'READ_BACK':
      await eachArtifact(run, opened, { doing: 'Read', damage, work: opened.readBack })
      return {}
    case 'DECODED':
      return decodePoint(context, run, { point: opened, damage })
    case 'RESTORED': {
      const assertions = (await findProofAssertions(context.database, [point.instanceId])).get(point.instanceId) ?? []
      return restorePoint(context, run, { point: opened, assertions, findings })
    }
  }
}

interface Verdict {
  point: RecoveryPoint
  level: VerifyLevel
  startedAt: Date
  checked: Checked
}

function proven(context: WorkerContext, run: JobRun, { point, level, startedAt, checked }: Verdict): Outcome {
  const { id: recoveryPointId, instanceId, damageLevel } = point
  if (damageLevel !== null && proofLevels.indexOf(damageLevel) > proofLevels.indexOf(level)) {
    run.warn(
      `It stays SUSPECT: what was found at level ${damageLevel} can only be cleared by a verification at that level.`,
    )
  }
  return {
    kind: 'completed',
    record: async (tx) => {
      const now = await context.dueNow(tx)
      await recountOverdue(tx, instanceId, () => recordProof(tx, { recoveryPointId, proof: level, now }))
      const evidence = { level, outcome: 'PROVEN', startedAt, endedAt: now, jobId: run.job.id, checked } as const
      await recordEvidence(tx, { recoveryPointId, ...evidence })
    },
  }
}

function failed(
  context: WorkerContext,
  run: JobRun,
  { point, level, startedAt, checked }: Verdict,
  findings: Findings,
): Outcome {
  const { id: recoveryPointId, instanceId } = point
  const { differences, damage } = boundedFindings(findings)
  const jobId = run.job.id
  return {
    kind: 'failed',
    error: failureOf(codeOf(findings), damage.join('\n')),
    record: async (tx) => {
      const now = await context.dueNow(tx)
      await recountOverdue(tx, instanceId, async () => {
        await recordDamage(tx, { recoveryPointId, damage, level, jobId, now })
        if (differences.length > 0) await recordDamageOfTwins(tx, { recoveryPointId, differences })
      })
      const evidence = { level, outcome: 'FAILED', startedAt, endedAt: now, jobId } as const
      await recordEvidence(tx, { recoveryPointId, ...evidence, checked: { ...checked, findings: damage } })
    },
  }
}
