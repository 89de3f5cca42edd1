import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import type { Cluster } from '../../src/cluster/start.ts'
import { recoveryPoints } from '../../src/database/tables/recovery-point.ts'
import { backUpNow } from '../../src/instance/back-up-now.ts'
import type { BackupInstance } from '../../src/instance/instance.ts'
import { setProofAssertions } from '../../src/instance/set-proof-assertions.ts'
import type { JobRow } from '../../src/job/states.ts'
import { findRecoveryPoints } from '../../src/recovery-point/find.ts'
import { findProofs } from '../../src/recovery-point/find-proofs.ts'
import type { RecoveryPointProof } from '../../src/recovery-point/proof.ts'
import type { RecoveryPoint, VerifyLevel } from '../../src/recovery-point/recovery-point.ts'
import { verifyRecoveryPoint } from '../../src/recovery-point/verify.ts'
import { readSealedJson } from '../../src/storage/sealed-json.ts'
import { headerKey, manifestKey } from '../../src/storage/vault-layout.ts'
import type { Manifest } from '../../src/worker/point/manifest.ts'
import { storageOf } from '../../src/worker/subjects.ts'
import { writePointEnd } from './point-end.ts'
import { findRecoveryPointsOf } from './points.ts'
import { actor, type Protected, protect, type Service } from './protected-server.ts'

/** A protected server with one recovery point of what it held then. */
export interface BackedUp extends Protected {
  point: RecoveryPoint
}

/** Protects a server in a new vault and backs it up. */
export async function backedUp(service: Service, source: Cluster, folder: string): Promise<BackedUp> {
  const made = await protect(service, source, folder)
  return { ...made, point: await backUpAgain(service, made.instance) }
}

/** Takes one more backup; answers its point. */
export async function backUpAgain(service: Service, instance: BackupInstance): Promise<RecoveryPoint> {
  const job = await backUpNow(service.database, { instanceId: instance.id, actor, now: new Date() })
  const ended = await service.ended(job.id)
  const [point] = await findRecoveryPointsOf(service.database, instance.id)
  if (ended.status !== 'COMPLETED' || !point) throw new Error(JSON.stringify(ended.error))
  return point
}

/** Starts a verification of a point. */
export async function startVerification(
  { database }: Pick<Service, 'database'>,
  { id: recoveryPointId }: RecoveryPoint,
  level: VerifyLevel,
): Promise<JobRow> {
  return verifyRecoveryPoint(database, { recoveryPointId, level, actor, now: new Date() })
}

/** Verifies a point; answers the job at its end. */
export async function verify(service: Service, point: RecoveryPoint, level: VerifyLevel): Promise<JobRow> {
  const job = await startVerification(service, point, level)
  return service.ended(job.id, { withinMs: 120_000 })
}

export async function pointNow({ database }: Pick<Service, 'database'>, { id }: RecoveryPoint): Promise<RecoveryPoint> {
  const [point] = await findRecoveryPoints(database, [id])
  if (!point) throw new Error('The point is gone.')
  return point
}

/** The proofs of a point, newest first. */
export async function proofsOf(
  { database }: Pick<Service, 'database'>,
  { id }: RecoveryPoint,
): Promise<RecoveryPointProof[]> {
  return (await findProofs(database, [id], { first: 50 })).get(id) ?? []
}

/** Sets assertions on one database, by their names. */
export async function assert(
  { database }: Pick<Service, 'database'>,
  { instance }: Protected,
  asked: string,
  queries: Record<string, string>,
): Promise<void> {
  const assertions = Object.entries(queries).map(([name, query]) => ({ name, database: asked, query }))
  await setProofAssertions(database, { instanceId: instance.id, assertions, actor, now: new Date() })
}

/** The stored files of a point's databases, in their order. */
export async function artifactsOf({ vaultPath, point }: Pick<BackedUp, 'vaultPath' | 'point'>): Promise<string[]> {
  const names = await readdir(join(vaultPath, point.prefix))
  return names
    .filter((name) => name.includes('.dump'))
    .toSorted()
    .map((name) => join(vaultPath, point.prefix, name))
}

/** Flips one bit of a file, in the middle unless told where. */
export async function flipBit(path: string, at?: number): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const position = at ?? Math.floor(size / 2)
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte[0] = (byte[0] ?? 0) ^ 0x10
  await file.write(byte, 0, 1, position)
}

/** Rewrites a point's manifest, sealed and recorded as if the backup had written it so. */
export async function rewriteManifest(
  { database, secrets, context }: Service,
  { point, vault }: Pick<BackedUp, 'point' | 'vault'>,
  change: (manifest: Manifest) => void,
): Promise<void> {
  const storage = storageOf(context, vault)
  const identity = secrets.open(vault.sealedIdentity)
  // What was read is what the backup has written.
  const manifest = (await readSealedJson(storage, manifestKey(point.prefix), { identity })) as Manifest
  change(manifest)
  await storage.remove(manifestKey(point.prefix))
  await storage.remove(headerKey(point.prefix))
  const { storedSha256 } = await writePointEnd(storage, point.prefix, {
    recipients: [vault.recipient],
    manifest,
    header: { recoveryPointId: point.id, instanceId: point.instanceId, vaultId: vault.id },
    createdAt: point.createdAt,
  })
  await database.update(recoveryPoints).set({ manifestSha256: storedSha256 }).where(eq(recoveryPoints.id, point.id))
}
