import type { BackupInstance } from '../../instance/instance.ts'
import type { JobRun } from '../../job/handler.ts'
import type { RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import type { Storage } from '../../storage/contract.ts'
import { copyArtifact } from '../../storage/copy-artifact.ts'
import { writeManifest } from '../../storage/vault-layout.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import type { Manifest, ManifestArtifact } from './manifest.ts'
import type { OpenPoint } from './read-point.ts'
import { commitPoint, readBackPoint } from './write-point.ts'

/** What is copied, and where to. */
export interface PointCopy {
  instance: BackupInstance
  original: RecoveryPoint
  opened: OpenPoint
  replica: Vault
  storage: Storage
  /** The folder of the attempt in the replica. */
  prefix: string
  /** The copy's own. */
  id: string
  expiresAt: Date
}

/** A copy that lies in the replica, whole, and was read back from there. */
export interface CopiedPoint {
  /** When all was written, and the reading began. */
  writtenAt: Date
  manifestSha256: string
  storedBytes: number
  artifacts: ManifestArtifact[]
}

/**
 * Copies every artifact of a point into another vault, sealed for that one, then writes the manifest there, reads all of it
 * back, and writes the header last. Throws ARTIFACT_DAMAGED naming the key of whichever side is not what it should be.
 */
export async function copyPoint(
  { now }: Pick<WorkerContext, 'now'>,
  run: JobRun,
  copy: PointCopy,
): Promise<CopiedPoint> {
  const { opened, original, replica, storage, prefix } = copy
  const progress = copyProgress(run, opened.manifest.artifacts)
  const artifacts: ManifestArtifact[] = []
  for (const artifact of opened.manifest.artifacts) {
    const { storedBytes } = artifact.digest
    const stored = await run.subTask(`Copy ${nameOf(artifact)}`, (task) =>
      copyArtifact(
        {
          storage: opened.storage,
          key: `${original.prefix}${artifact.file}`,
          identity: opened.identity,
          digest: artifact.digest,
        },
        { storage, key: `${prefix}${artifact.file}`, recipients: [replica.recipient] },
        {
          signal: run.signal,
          onBytes: (bytesDone) => {
            task.progress({ bytesDone, bytesTotal: storedBytes })
            progress.within(bytesDone)
          },
        },
      ),
    )
    progress.finished(storedBytes)
    artifacts.push({ ...artifact, digest: { ...artifact.digest, ...stored } })
  }
  const manifest = await run.subTask('Write the manifest', () =>
    writeManifest(storage, prefix, {
      recipients: [replica.recipient],
      manifest: manifestOf(run, copy, artifacts),
      signal: run.signal,
    }),
  )
  const writtenAt = now()
  await run.subTask('Read back and compare', (task) =>
    readBackPoint({
      storage,
      written: { prefix, artifacts, manifest: () => manifest },
      signal: run.signal,
      onBytes: (bytesDone) => {
        task.progress({ bytesDone })
        progress.within(bytesDone)
      },
    }),
  )
  await commitPoint(storage, prefix, {
    header: { recoveryPointId: copy.id, instanceId: copy.instance.id, vaultId: replica.id },
    manifest,
    createdAt: original.createdAt,
    signal: run.signal,
  })
  const storedBytes = artifacts.reduce((sum, { digest }) => sum + digest.storedBytes, manifest.storedBytes)
  return { writtenAt, manifestSha256: manifest.storedSha256, storedBytes, artifacts }
}

/** The same facts, with what is the copy's own. */
function manifestOf({ job }: JobRun, copy: PointCopy, artifacts: ManifestArtifact[]): Manifest {
  const { opened, original, replica, id, expiresAt } = copy
  return {
    ...opened.manifest,
    recoveryPointId: id,
    vaultId: replica.id,
    job: { id: job.id, attempt: job.attempt },
    expiresAt: expiresAt.toISOString(),
    artifacts,
    copyOf: { recoveryPointId: original.id, vaultId: original.vaultId },
  }
}

function nameOf({ database }: ManifestArtifact): string {
  return database === null ? 'roles and tablespaces' : JSON.stringify(database)
}

/** Every byte is moved once and read back once. */
function copyProgress(run: JobRun, artifacts: readonly ManifestArtifact[]) {
  const bytesTotal = 2 * artifacts.reduce((sum, { digest }) => sum + digest.storedBytes, 0)
  let before = 0
  run.progress({ bytesDone: 0, bytesTotal })
  return {
    within: (bytes: number) => run.progress({ bytesDone: Math.min(bytesTotal, before + bytes) }),
    finished: (bytes: number) => {
      before += bytes
    },
  }
}
