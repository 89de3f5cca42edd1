import { chooseRestoreTools } from '../../engine/choose-tools.ts'
import { decodeArchive } from '../../engine/decode-archive.ts'
import { findTools } from '../../engine/find-tools.ts'
import type { JobRun } from '../../job/handler.ts'
import type { WorkerContext } from '../context.ts'
import type { OpenPoint } from '../point/read-point.ts'
import { drain } from '../streams.ts'
import { databasesWithoutArchive } from './databases-without-archive.ts'
import { eachArtifact } from './each-artifact.ts'
import type { Checked } from './verdict.ts'

/** Reads every stored byte of a point, digests it, and decodes what it opens to from the first to the last byte. */
export async function decodePoint(
  context: WorkerContext,
  run: JobRun,
  { point, damage }: { point: OpenPoint; damage: string[] },
): Promise<Partial<Checked>> {
  const { manifest } = point
  damage.push(...databasesWithoutArchive(manifest))
  const { tools, reason } = chooseRestoreTools(await findTools({ extraDirectories: context.postgresDirectories }), {
    archiveToolMajor: manifest.tools.major,
    targetVersionNumber: manifest.server.versionNumber,
  })
  run.note('PostgreSQL tools', reason)
  await eachArtifact(run, point, {
    doing: 'Read and decode',
    damage,
    work: (artifact, look) =>
      point.prove(artifact, look, (plain) =>
        artifact.kind === 'DATABASE' ? decodeArchive(tools, plain, look) : drain(plain),
      ),
  })
  const plainBytes = manifest.artifacts.reduce((sum, { digest }) => sum + digest.plainBytes, 0)
  return { plainBytes, toolVersion: tools.version }
}
