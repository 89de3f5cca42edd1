import { chooseRestoreTools } from '../engine/choose-tools.ts'
import { decodeArchive } from '../engine/decode-archive.ts'
import { findTools, type Toolset } from '../engine/find-tools.ts'
import { failureOf } from '../failure.ts'
import { recountOverdue } from '../instance/schedule/recount-overdue.ts'
import type { Handler, JobRun, Outcome } from '../job/handler.ts'
import { recordDamage, recordProof } from '../recovery-point/record-proof.ts'
import { handlerDefaults, type WorkerContext } from './context.ts'
import { contentsOf } from './point/contents-of.ts'
import { damageIn } from './point/damage.ts'
import type { ManifestArtifact } from './point/manifest.ts'
import { type OpenPoint, openPoint, readBytesOf } from './point/read-point.ts'
import { recordPointContents } from './point/stage-contents.ts'
import { drain } from './streams.ts'
import { pointOf } from './subjects.ts'

/** Verifies recovery points: every byte is read, compared with its digest and decoded. */
export function verifyHandler(context: WorkerContext): Handler {
  return { ...handlerDefaults(context), perform: (run) => verify(context, run) }
}

async function verify(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { point, vault } = await pointOf(context, run.job)
  const recoveryPointId = point.id
  const damage: string[] = []
  const opened = await damageIn(damage, () => openPoint(context, { point, vault, signal: run.signal }))
  if (opened) await verifyArtifacts(context, run, opened, damage)
  if (damage.length > 0) {
    return {
      kind: 'failed',
      error: failureOf('ARTIFACT_DAMAGED', damage.join('\n')),
      record: (tx) => recountOverdue(tx, point.instanceId, () => recordDamage(tx, { recoveryPointId, damage })),
    }
  }
  if (opened) await recordPointContents(context, run, { recoveryPointId, facts: contentsOf(opened.manifest) })
  return {
    kind: 'completed',
    record: async (tx) => {
      const proof = { recoveryPointId, proof: 'DECODED' as const, now: await context.dueNow(tx) }
      await recountOverdue(tx, point.instanceId, () => recordProof(tx, proof))
    },
  }
}

async function verifyArtifacts(context: WorkerContext, run: JobRun, point: OpenPoint, damage: string[]): Promise<void> {
  const { manifest } = point
  const { tools, reason } = chooseRestoreTools(await findTools({ extraDirectories: context.postgresDirectories }), {
    archiveToolMajor: manifest.tools.major,
    targetVersionNumber: manifest.server.versionNumber,
  })
  run.note('PostgreSQL tools', reason)
  const bytesTotal = manifest.artifacts.reduce((sum, artifact) => sum + readBytesOf(artifact), 0)
  let before = 0
  run.progress({ bytesDone: 0, bytesTotal })
  for (const artifact of manifest.artifacts) {
    const name = artifact.database === null ? 'roles and tablespaces' : JSON.stringify(artifact.database)
    await damageIn(damage, () =>
      run.subTask(`Read and decode ${name}`, (task) =>
        decode({
          point,
          artifact,
          tools,
          signal: run.signal,
          onBytes: (bytesDone) => {
            task.progress({ bytesDone, bytesTotal: readBytesOf(artifact) })
            run.progress({ bytesDone: before + bytesDone })
          },
        }),
      ),
    )
    before += readBytesOf(artifact)
  }
}

async function decode({
  point,
  artifact,
  tools,
  signal,
  onBytes,
}: {
  point: OpenPoint
  artifact: ManifestArtifact
  tools: Toolset
  signal: AbortSignal
  onBytes: (total: number) => void
}): Promise<void> {
  const archive = await point.open(artifact, signal, onBytes)
  if (artifact.kind === 'DATABASE') await decodeArchive(tools, archive, { signal })
  else await drain(archive)
}
