import { findInstances } from '../../instance/find.ts'
import type { BackupInstance } from '../../instance/instance.ts'
import { importInstance, moveToOriginals, recordImportedPoints } from '../../instance/record/record-import.ts'
import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { JobRun } from '../../job/handler.ts'
import { importPoint, linkCopies, type PointImport } from '../../recovery-point/record-import.ts'
import { checkName, InvalidInput } from '../../refusal.ts'
import { findOrImportServer } from '../../server/record-import.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { headerKey } from '../../storage/vault-layout.ts'
import { lockVaultAlone } from '../../vault/find.ts'
import type { ImportReport } from '../../vault/import/request.ts'
import type { WorkerContext } from '../context.ts'
import { containedDatabase } from '../point/contained-database.ts'
import { contentsOf } from '../point/contents-of.ts'
import { recordPointContents } from '../point/stage-contents.ts'
import type { OpenedVault } from './open-imported.ts'
import type { FoundPoint } from './read-found-point.ts'

export interface RecordFoundPoint {
  opened: OpenedVault
  found: FoundPoint
  backupJobId: string
  report: ImportReport
}

/** How long a transaction that holds locks waits for the store, ms. */
const mostWaitMs = 2_000
const mostTries = 5

/**
 * Adds a point that was found to the catalogue, in one transaction with the backup instance and the server that it needs.
 * Answers a sentence when it cannot be: the catalogue has its id or its instance elsewhere, or its bytes went meanwhile.
 */
export async function recordFoundPoint(
  context: WorkerContext,
  run: JobRun,
  point: RecordFoundPoint,
): Promise<string | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await recordOnce(context, run, point)
    } catch (cause) {
      if (!(cause instanceof StoreIsSlow) || tries === mostTries) throw cause
      // Waits for as long as the store needs, with nothing locked.
      await hasBytes(point)
      await run.confirm()
    }
  }
}

async function recordOnce(
  context: WorkerContext,
  run: JobRun,
  { opened, found, backupJobId, report }: RecordFoundPoint,
): Promise<string | undefined> {
  const { vaultId } = opened
  const { prefix, manifest } = found
  const now = await context.dueNow()
  const added: { server?: string; instance?: string } = {}
  try {
    const outcome = await context.database.transaction(async (tx): Promise<PointImport> => {
      const known = await findOrLockOut(tx, { instanceId: manifest.instance.id, vaultId })
      const instance = known ?? (await addInstance(tx, { found, vaultId, added, jobId: run.job.id, now }))
      const tried: { outcome: PointImport } = { outcome: 'KNOWN' }
      await recountOverdue(tx, instance.id, async () => {
        tried.outcome = await importPoint(tx, { ...rowOf(found, instance), backupJobId, now })
        if (tried.outcome !== 'IMPORTED') return
        const copiedInto = await linkCopies(tx, manifest.recoveryPointId)
        if (copiedInto.includes(instance.vaultId)) {
          await moveToOriginals(tx, { instance, vaultId, jobId: run.job.id, now })
        }
      })
      if (tried.outcome !== 'IMPORTED') return tried.outcome
      await recordImportedPoints(tx, { instance, now })
      // A point that was removed while it was looked at must not come back without its bytes.
      if (!(await withinLimit(hasBytes({ opened, found }), prefix))) throw new BytesGone()
      return tried.outcome
    })
    if (outcome === 'IMPORTED') {
      report.pointsImported += 1
      if (added.instance !== undefined) report.instances.push(added.instance)
      if (added.server !== undefined) report.servers.push(added.server)
      const { recoveryPointId } = manifest
      await recordPointContents(context, run, { recoveryPointId, facts: contentsOf(manifest) })
    }
    if (outcome === 'KNOWN') report.alreadyKnown += 1
    return refusals[outcome] && `${prefix} ${refusals[outcome]}.`
  } catch (cause) {
    if (cause instanceof BytesGone) return `${prefix} was removed while it was being looked at.`
    throw cause
  }
}

const refusals: Partial<Record<PointImport, string>> = {
  ELSEWHERE: 'is of a backup instance that is protected in another vault: stop its protection first, and do this again',
  CLASHES: 'has the id or the backup job of another recovery point, or is one more copy of the same',
}

/** The instance; where there is none, no other import of the vault adds it before the transaction ends. */
async function findOrLockOut(
  tx: WorkerContext['database'],
  { instanceId, vaultId }: { instanceId: string; vaultId: string },
): Promise<BackupInstance | undefined> {
  const [seen] = await findInstances(tx, [instanceId])
  if (seen) return seen
  await lockVaultAlone(tx, vaultId)
  const [added] = await findInstances(tx, [instanceId])
  return added
}

class BytesGone extends Error {}

class StoreIsSlow extends StorageError {}

async function hasBytes({ opened, found }: Pick<RecordFoundPoint, 'opened' | 'found'>): Promise<boolean> {
  return (await opened.storage.size(headerKey(found.prefix))) !== undefined
}

async function withinLimit<Result>(work: Promise<Result>, subject: string): Promise<Result> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>()
  const message = `The storage was asked for ${subject} and did not answer within ${mostWaitMs} ms.`
  const timer = setTimeout(() => reject(new StoreIsSlow('STORAGE_UNREACHABLE', subject, message)), mostWaitMs)
  return Promise.race([work, tooLate]).finally(() => clearTimeout(timer))
}

interface AddInstance {
  found: FoundPoint
  vaultId: string
  /** Is told the names that were added. */
  added: { server?: string; instance?: string }
  jobId: string
  now: Date
}

async function addInstance(
  tx: WorkerContext['database'],
  { found: { manifest }, vaultId, added, jobId, now }: AddInstance,
): Promise<BackupInstance> {
  const { host, port, versionNumber, tlsMode = 'VERIFY_FULL', maintenanceDatabase = 'postgres' } = manifest.server
  const { server, isNew } = await findOrImportServer(tx, {
    name: nameOf(manifest.server.name, 'Imported server'),
    host,
    port,
    tlsMode,
    maintenanceDatabase,
    versionNumber,
    vaultId,
    now,
  })
  const instance = await importInstance(tx, {
    id: manifest.instance.id,
    name: nameOf(manifest.instance.name, `Imported ${manifest.instance.id}`),
    serverId: server.id,
    vaultId,
    createdAt: now,
    jobId,
    now,
  })
  added.instance = instance.name
  if (isNew) added.server = server.name
  return instance
}

/** The name as the vault tells it, unless it is one that nobody could have given here. */
function nameOf(name: string, otherwise: string): string {
  try {
    checkName('name', name)
    return name
  } catch (cause) {
    if (cause instanceof InvalidInput) return otherwise
    throw cause
  }
}

function rowOf({ prefix, manifest, isRewrapOf: _, ...stored }: FoundPoint, instance: BackupInstance) {
  const { server, tools, databases, artifacts } = manifest
  return {
    id: manifest.recoveryPointId,
    instanceId: instance.id,
    vaultId: manifest.vaultId,
    prefix,
    // The manifest's own check has left nothing but tags.
    tag: manifest.tag as 'DEFAULT',
    policyName: manifest.policyName,
    policyVersion: manifest.policyVersion ?? 1,
    pointInTime: new Date(manifest.pointInTime),
    createdAt: new Date(manifest.createdAt),
    expiresAt: new Date(manifest.expiresAt),
    copyOfId: manifest.copyOf?.recoveryPointId,
    serverVersionNumber: server.versionNumber,
    toolMajor: tools.major,
    sourceBytes: databases.reduce((sum, { report }) => sum + report.sizeBytes, 0),
    databases: databases.map((facts) => containedDatabase(facts, artifacts)),
    ...stored,
  }
}
