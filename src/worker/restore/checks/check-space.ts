import type { FilesRequest } from '../../../restore/restore.ts'
import type { RestoreCheck } from '../../../restore/validation.ts'
import type { Manifest } from '../../point/manifest.ts'
import { passed, problem, skipped, warning } from './check.ts'
import { isRead } from './check-artifacts.ts'

/** For manifest and instructions, and for what a file system takes besides. */
const margin = { share: 0.02, bytes: 16 * 1024 * 1024 }

/** How many bytes the files of a restore take: their plain bytes, with some more for what is written beside them. */
export function filesBytes(manifest: Manifest, request: FilesRequest): number {
  const plain = manifest.artifacts
    .filter((artifact) => isRead(artifact, request))
    .reduce((sum, { digest }) => sum + digest.plainBytes, 0)
  return Math.ceil(plain * (1 + margin.share)) + margin.bytes
}

/** Whether the files of a restore fit; as SQL they may take what the databases took at the source. */
export function checkFilesSpace(
  subject: string,
  {
    bytesNeeded,
    sqlBytes,
    bytesFree,
  }: { bytesNeeded: number | null; sqlBytes: number | null; bytesFree: number | null },
): RestoreCheck {
  if (bytesNeeded === null)
    return skipped('FREE_SPACE', subject, 'How much is needed the manifest says, which could not be read.')
  if (bytesFree === null) {
    return skipped(
      'FREE_SPACE',
      subject,
      `The target does not tell how much space it has left; ${bytesNeeded} bytes are needed.`,
    )
  }
  const facts = `${bytesFree} bytes are free, and the files take up to ${bytesNeeded}.`
  if (bytesFree < bytesNeeded) return problem('FREE_SPACE', 'STORAGE_FULL', subject, facts)
  if (sqlBytes !== null && bytesFree < sqlBytes) {
    return warning(
      'FREE_SPACE',
      subject,
      `${facts} As SQL they may take ${sqlBytes}, as much as the databases at the source.`,
      ['Free space there, or restore in the format CUSTOM.'],
    )
  }
  return passed('FREE_SPACE', subject, facts)
}
