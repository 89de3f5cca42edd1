import { randomUUID } from 'node:crypto'
import { chooseDumpTools } from '../engine/choose-tools.ts'
import { findTools } from '../engine/find-tools.ts'
import { inspectServer } from '../engine/inspect.ts'
import { findAnomalies } from '../instance/anomaly/find-anomalies.ts'
import type { BackupInstance } from '../instance/instance.ts'
import { lockInstance, recordBackup } from '../instance/record/record-backup.ts'
import { recordBackupFailure } from '../instance/record/record-backup-failure.ts'
import type { Handler, JobRun, Outcome } from '../job/handler.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import { enqueueCopy } from '../recovery-point/copy/enqueue-copy.ts'
import { recordRecoveryPoint } from '../recovery-point/record.ts'
import { type RecordEvidence, recordEvidence } from '../recovery-point/record-evidence.ts'
import { sentenceOf } from '../retention/compare-content.ts'
import { decideRetention } from '../retention/decide-retention.ts'
import { type RetentionTag, tagsByPriority } from '../retention/rules.ts'
import { recordInspection } from '../server/record-inspection.ts'
import type { Storage } from '../storage/contract.ts'
import { checkVault, headerKey, pointPrefix, refreshSelfRestore } from '../storage/vault-layout.ts'
import { type Attempts, sweepAttempts, writeOrNothing } from './attempts.ts'
import { handlerDefaults, type WorkerContext } from './context.ts'
import { stagePointContents } from './point/stage-contents.ts'
import { commitPoint, readBackPoint, type WrittenPoint, writePoint } from './point/write-point.ts'
import { addressOf, instanceOf, storageOf } from './subjects.ts'
import { refuseUnreadable } from './unreadable.ts'

/** Takes backups: one job makes one recovery point, or leaves nothing unfinished behind. */
export function backUpHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => backUp(context, run),
    abandon: (run) => abandonAttempts(context, run),
    recordFailure: (tx, job, error) =>
      recordBackupFailure(tx, { instanceId: job.instanceId ?? '', error, now: context.now() }),
  }
}

async function backUp(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { job, signal } = run
  const { instance, server, vault, policy } = await instanceOf(context, job)
  const isAgainstState = job.trigger === 'SCHEDULE' && instance.state !== 'PROTECTION_CONFIGURED'
  if (isAgainstState || instance.state === 'SOFT_DELETED') {
    run.note('Not started', `The backup instance is in state ${instance.state}: no backup of it is made any more.`)
    return { kind: 'cancelled' }
  }
  const storage = storageOf(context, vault)
  await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
  await refreshSelfRestore(storage)
  const attempts = attemptsOf(job, instance, storage)
  await sweepAttempts(run, attempts)
  const address = addressOf(server, context.secrets)
  const report = await run.subTask('Inspect the server', () => inspectServer(address, { signal }))
  refuseUnreadable(report)
  const { tools, reason } = chooseDumpTools(
    await findTools({ extraDirectories: context.postgresDirectories }),
    report.versionNumber,
  )
  run.note('Server', report.version)
  run.note('PostgreSQL tools', reason)

  return writeOrNothing(run, attempts, async (prefix) => {
    const written = await writePoint(context, run, { storage, vault, address, report, tools, prefix })
    const createdAt = await presentTime(context, run)
    const requested = requestedTag(run.job)
    const retention = decideRetention(policy.rules, { createdAt, lastTagged: instance.lastTaggedAt, requested })
    const point = { id: randomUUID(), instance, vault, server, policy, retention, createdAt }
    const manifest = await written.describe(point)
    await run.subTask('Read back and compare', (task) =>
      readBackPoint({ storage, written, signal, onBytes: (bytesDone) => task.progress({ bytesDone }) }),
    )
    const adoptContents = await stagePointContents(context, run, written.contents)
    const provenAt = await presentTime(context, run)
    await warnOfAnomalies(context, run, { instance, policy, written })
    const evidence = readBackEvidence(run, written, { startedAt: createdAt, endedAt: provenAt })
    const header = { recoveryPointId: point.id, instanceId: instance.id, vaultId: vault.id }
    await commitPoint(storage, prefix, { header, manifest, createdAt, signal })
    return {
      kind: 'completed',
      record: async (tx) => {
        // The manifest tells what was planned; what holds is decided here, by the policy that the instance follows now.
        const locked = await lockInstance(tx, instance.id)
        const { rules } = locked.policy
        const recorded = await recordRecoveryPoint(tx, {
          id: point.id,
          instanceId: instance.id,
          vaultId: vault.id,
          jobId: job.id,
          prefix,
          retention: decideRetention(rules, { createdAt, lastTagged: locked.instance.lastTaggedAt, requested }),
          isTagRequested: requested !== 'SCHEDULE' && requested !== 'DEFAULT',
          policyName: locked.policy.name,
          policyVersion: rules.version,
          createdAt,
          provenAt,
          manifestSha256: manifest.storedSha256,
          recipient: vault.recipient,
          serverVersionNumber: report.versionNumber,
          toolMajor: tools.major,
          ...totalsOf(written),
        })
        await adoptContents(tx, point.id)
        await recordEvidence(tx, { recoveryPointId: point.id, ...evidence })
        await recordBackup(tx, {
          ...locked,
          point: recorded,
          contents: written.contents.databases,
          now: context.now(),
        })
        await enqueueCopy(tx, { instance: locked.instance, point: recorded, now: context.now() })
        await recordInspection(tx, { serverId: server.id, versionNumber: report.versionNumber, now: createdAt })
      },
    }
  })
}

/** What counts is looked for once more where the point is recorded; a job's warnings have to be given before. */
async function warnOfAnomalies(
  { database }: WorkerContext,
  run: JobRun,
  { instance, policy, written }: { instance: BackupInstance; policy: BackupPolicy; written: WrittenPoint },
): Promise<void> {
  const anomalies = await findAnomalies(database, {
    instanceId: instance.id,
    databases: written.databases,
    contents: written.contents.databases,
    gate: policy.rules.anomalyGate,
  })
  for (const anomaly of anomalies) run.warn(sentenceOf(anomaly))
}

/** The database's time, which decides tag and end, and by which they are over. An outage of the database is waited out. */
async function presentTime(context: WorkerContext, run: JobRun): Promise<Date> {
  await run.confirm()
  return context.dueNow()
}

/** A scheduled backup gets its tag by the rules; one on demand the tag that was asked for, else the default one. */
function requestedTag(job: JobRun['job']): RetentionTag | 'SCHEDULE' {
  if (job.trigger === 'SCHEDULE') return 'SCHEDULE'
  const input: unknown = job.input
  const tag = typeof input === 'object' && input !== null && 'retentionTag' in input ? input.retentionTag : undefined
  return tagsByPriority.find((each) => each === tag) ?? 'DEFAULT'
}

function totalsOf({ pointInTime, databases, storedBytes }: WrittenPoint) {
  const sourceBytes = databases.reduce((sum, database) => sum + database.sourceBytes, 0)
  return { pointInTime, databases, sourceBytes, storedBytes: storedBytes() }
}

/** The point's first proof: all that was written has been read again, the manifest too. */
function readBackEvidence(
  { job }: JobRun,
  written: WrittenPoint,
  times: Pick<RecordEvidence, 'startedAt' | 'endedAt'>,
): Omit<RecordEvidence, 'recoveryPointId'> {
  const checked = { artifacts: written.artifacts.length + 1, storedBytes: written.storedBytes() }
  return { ...times, level: 'READ_BACK', outcome: 'PROVEN', jobId: job.id, checked }
}

function attemptsOf({ id }: JobRun['job'], instance: BackupInstance, storage: Storage): Attempts {
  return { storage, prefixOf: (attempt) => pointPrefix(instance.id, id, attempt), headerOf: headerKey }
}

async function abandonAttempts(context: WorkerContext, run: JobRun): Promise<void> {
  const { instance, vault } = await instanceOf(context, run.job)
  await sweepAttempts(run, attemptsOf(run.job, instance, storageOf(context, vault)))
}
