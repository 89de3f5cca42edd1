import type { Readable } from 'node:stream'
import { cleanGlobals } from '../../../engine/globals/clean-globals.ts'
import type { JobRun } from '../../../job/handler.ts'
import type { FileSet } from '../../../storage/file-set.ts'
import { WorkFailed } from '../../failure.ts'
import type { ManifestArtifact } from '../../point/manifest.ts'
import type { OpenPoint } from '../../point/read-point.ts'
import { globalsName } from './file-names.ts'
import type { SetFile } from './set-manifest.ts'
import { writeText } from './write-file.ts'

/** Of roles alone: 100,000 of them take about 30 MB. */
const mostBytes = 64 * 1024 * 1024

/**
 * Writes roles and tablespaces as SQL for a plain server. What is left out stands in the file as a comment with its
 * reason, so that the original is not written beside it, where it could be loaded by mistake.
 */
export async function writeGlobals(
  run: JobRun,
  {
    point,
    artifact,
    set,
    signal,
    onBytes,
  }: {
    point: OpenPoint
    artifact: ManifestArtifact
    set: FileSet
    signal: AbortSignal
    onBytes: (bytes: number) => void
  },
): Promise<SetFile> {
  const { sql, leftOut } = cleaned(await textOf(await point.open(artifact, signal, onBytes)))
  if (leftOut.length > 0) run.note('Left out of globals.sql', leftOut.join(' '))
  const written = await writeText(set, globalsName, sql, signal)
  return { ...written, kind: 'GLOBALS', database: null }
}

async function textOf(source: Readable): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of source) {
    pieces.push(piece)
    bytes += piece.length
    if (bytes > mostBytes) throw new WorkFailed('TOOL_FAILED', `The roles take more than ${mostBytes} bytes.`)
  }
  return Buffer.concat(pieces).toString()
}

function cleaned(sql: string) {
  try {
    return cleanGlobals(sql)
  } catch (cause) {
    if (cause instanceof RangeError) throw new WorkFailed('ARCHIVE_UNREADABLE', `The roles: ${cause.message}`)
    throw cause
  }
}
