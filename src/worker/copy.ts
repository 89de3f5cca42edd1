import { randomUUID } from 'node:crypto'
import type { Database } from '../database/connect.ts'
import { failureOf } from '../failure.ts'
import type { BackupInstance } from '../instance/instance.ts'
import { recountOverdue } from '../instance/schedule/recount-overdue.ts'
import type { Handler, JobRun, Outcome } from '../job/handler.ts'
import { endOfCopy } from '../recovery-point/copy/copy.ts'
import { findCopyIn } from '../recovery-point/copy/find-copies.ts'
import { recordCopy, recordCopyFailure } from '../recovery-point/copy/record-copy.ts'
import { recordDamage } from '../recovery-point/record-damage.ts'
import { recordEvidence } from '../recovery-point/record-evidence.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import type { Storage } from '../storage/contract.ts'
import { StorageError } from '../storage/storage-error.ts'
import { checkVault, headerKey, initialiseVault, pointPrefix, refreshSelfRestore } from '../storage/vault-layout.ts'
import { recordCapabilities } from '../vault/record-capabilities.ts'
import type { Vault } from '../vault/vault.ts'
import { type Attempts, sweepAttempts, writeOrNothing } from './attempts.ts'
import { handlerDefaults, type WorkerContext } from './context.ts'
import { contentsOf } from './point/contents-of.ts'
import { type CopiedPoint, copyPoint } from './point/copy-point.ts'
import { damageOf } from './point/damage.ts'
import { type OpenPoint, openPoint } from './point/read-point.ts'
import { stagePointContents } from './point/stage-contents.ts'
import { type CopySubjects, copySubjectsOf, storageOf } from './subjects.ts'
import { createNote, occupied } from './vault-place.ts'

/** Makes second copies: one job makes one point in the replica of another one's vault, or leaves nothing unfinished behind. */
export function copyHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => copy(context, run),
    abandon: (run) => abandonAttempts(context, run),
    recordFailure: async (tx, { recoveryPointId, cancelRequestedAt }, error) => {
      // A copy that turned out to be needless has not failed.
      if (error === null && cancelRequestedAt === null) return
      await recordCopyFailure(tx, { recoveryPointId: recoveryPointId ?? '', now: await context.dueNow(tx) })
    },
  }
}

async function copy(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const subjects = await copySubjectsOf(context, run.job)
  const { instance, original, vault, replica } = subjects
  const needless = await whyNeedless(context, subjects)
  if (needless !== undefined) {
    run.note('Not copied', needless)
    await abandonAttempts(context, run)
    return { kind: 'cancelled' }
  }
  const storage = await run.subTask('Check the replica vault', () => prepare(context, run, replica))
  try {
    const opened = await openPoint(context, { point: original, vault, signal: run.signal, onHeaderDamage: run.warn })
    const attempts = attemptsOf(run, instance, storage)
    await sweepAttempts(run, attempts)
    return await writeOrNothing(run, attempts, (prefix) =>
      copyTo(context, run, { ...subjects, opened, storage, prefix }),
    )
  } catch (cause) {
    return await damaged(context, run, subjects, cause)
  }
}

async function copyTo(
  context: WorkerContext,
  run: JobRun,
  { opened, storage, prefix, ...subjects }: CopySubjects & { opened: OpenPoint; storage: Storage; prefix: string },
): Promise<Outcome> {
  const { instance, original, vault, replica } = subjects
  const id = randomUUID()
  const expiresAt = endOfCopy(original, vault.replicaRetention)
  const copied = await copyPoint(context, run, { instance, original, opened, replica, storage, prefix, id, expiresAt })
  const adoptContents = await stagePointContents(context, run, contentsOf(opened.manifest))
  await run.confirm()
  const now = await context.dueNow()
  return {
    kind: 'completed',
    record: async (tx) => {
      await recordCopy(tx, { id, prefix, now, ...factsOf(run, subjects, copied) })
      await adoptContents(tx, id)
      await recordEvidence(tx, { recoveryPointId: id, ...evidenceOf(run, copied), endedAt: now })
    },
  }
}

/** Why there is nothing to copy any more; undefined when there is. */
async function whyNeedless(
  { database }: WorkerContext,
  { instance, original, vault, replica }: CopySubjects,
): Promise<string | undefined> {
  if (instance.state === 'SOFT_DELETED') return 'The backup instance was deleted.'
  if (vault.replicaId !== replica.id) return `Vault "${vault.name}" does not name that replica any more.`
  if (original.state !== 'AVAILABLE') return `The recovery point is ${original.state}.`
  const copied = await findCopyIn(database, { originalId: original.id, vaultId: replica.id })
  return copied && 'There is a copy of it in that vault already.'
}

/** The replica's place, set up at its first use as that of any vault, and made sure of at every later one. */
async function prepare(context: WorkerContext, run: JobRun, replica: Vault): Promise<Storage> {
  const storage = storageOf(context, replica)
  const mark = { vaultId: replica.id, recipient: replica.recipient }
  if (replica.capabilities !== null) {
    await checkVault(storage, mark)
    await refreshSelfRestore(storage)
    return storage
  }
  await initialiseVault(storage, { ...mark, now: context.now() }).catch(occupied)
  const capabilities = await storage.probe()
  run.note('Create without overwriting', createNote(capabilities))
  // At once, not when the copy is recorded: from now on an empty place is a disk that is not there.
  await recordCapabilities(context.database, { vaultId: replica.id, capabilities })
  return storage
}

function factsOf({ job }: JobRun, { original, replica }: CopySubjects, copied: CopiedPoint) {
  const { manifestSha256, storedBytes, artifacts } = copied
  const bytesOf = (name: string) => artifacts.find(({ database }) => database === name)?.digest.storedBytes
  const databases = original.databases.map((each) => ({ ...each, storedBytes: bytesOf(each.name) ?? each.storedBytes }))
  const ids = { originalId: original.id, replicaId: replica.id, jobId: job.id }
  return { ...ids, manifestSha256, storedBytes, recipient: replica.recipient, databases }
}

/** The copy's first proof: all that was written has been read again, the manifest too. */
function evidenceOf({ job }: JobRun, { artifacts, storedBytes, writtenAt }: CopiedPoint) {
  const checked = { artifacts: artifacts.length + 1, storedBytes }
  return { level: 'READ_BACK', outcome: 'PROVEN', jobId: job.id, startedAt: writtenAt, checked } as const
}

/** A failure that is damage of the original marks it as suspect; every other is thrown on, for it says nothing of that. */
async function damaged(
  context: WorkerContext,
  { job }: JobRun,
  subjects: CopySubjects,
  cause: unknown,
): Promise<Outcome> {
  const { original, vault } = subjects
  const sentence = isOf(original, cause) ? damageOf(cause) : undefined
  if (sentence === undefined) throw cause
  // Only now is it certain that this was seen in the vault, not below an empty mount point.
  await checkVault(storageOf(context, vault), { vaultId: vault.id, recipient: vault.recipient })
  const found = { level: 'READ_BACK', jobId: job.id, now: context.now() } as const
  const record = (tx: Database) =>
    recountOverdue(tx, original.instanceId, () =>
      recordDamage(tx, { recoveryPointId: original.id, ...found, damage: [sentence] }),
    )
  return { kind: 'failed', error: failureOf('ARTIFACT_DAMAGED', sentence), record }
}

function isOf({ prefix }: RecoveryPoint, cause: unknown): boolean {
  return cause instanceof StorageError && cause.subject.startsWith(prefix)
}

function attemptsOf({ job: { id } }: JobRun, instance: BackupInstance, storage: Storage): Attempts {
  return { storage, prefixOf: (attempt) => pointPrefix(instance.id, id, attempt), headerOf: headerKey }
}

async function abandonAttempts(context: WorkerContext, run: JobRun): Promise<void> {
  const { instance, replica } = await copySubjectsOf(context, run.job)
  // A place that was never set up holds nothing.
  if (replica.capabilities !== null) await sweepAttempts(run, attemptsOf(run, instance, storageOf(context, replica)))
}
