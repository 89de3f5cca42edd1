import { EngineError } from './engine-error.ts'
import type { Toolset } from './find-tools.ts'

/** Which programs were chosen, and the reason in a sentence for the job. */
export interface ChosenTools {
  tools: Toolset
  reason: string
}

/**
 * The programs that dump a server: of those not older than it, the nearest. Throws TOOLS_MISSING when there are none
 * at all, SERVER_TOO_NEW when all are older than the server. `versionNumber` as in server_version_num.
 */
export function chooseDumpTools(toolsets: readonly Toolset[], versionNumber: number): ChosenTools {
  const major = majorOf(versionNumber)
  refuseNone(toolsets)
  const tools = nearest(
    toolsets.filter((each) => each.major >= major),
    major,
  )
  if (!tools) {
    throw new EngineError(
      'SERVER_TOO_NEW',
      `The server is PostgreSQL ${major}; pg_dump must not be older than the server, and the newest found is ${newest(toolsets)}.`,
    )
  }
  return { tools, reason: `pg_dump ${tools.version}: the nearest found that is not older than PostgreSQL ${major}.` }
}

/**
 * The programs that restore an archive into a server: of those not older than the pg_dump that wrote it, the nearest
 * to the server. Throws TOOLS_MISSING when every one found is older than the archive.
 */
export function chooseRestoreTools(
  toolsets: readonly Toolset[],
  { archiveToolMajor, targetVersionNumber }: { archiveToolMajor: number; targetVersionNumber: number },
): ChosenTools {
  refuseNone(toolsets)
  const major = majorOf(targetVersionNumber)
  const tools = nearest(
    toolsets.filter((each) => each.major >= archiveToolMajor),
    major,
  )
  if (!tools) {
    throw new EngineError(
      'TOOLS_MISSING',
      `The archive was written by pg_dump ${archiveToolMajor}; pg_restore must not be older, and the newest found is ${newest(toolsets)}.`,
    )
  }
  return {
    tools,
    reason: `pg_restore ${tools.version}: the nearest found to PostgreSQL ${major} that reads archives of pg_dump ${archiveToolMajor}.`,
  }
}

function refuseNone(toolsets: readonly Toolset[]): void {
  if (toolsets.length > 0) return
  throw new EngineError('TOOLS_MISSING', "PostgreSQL's programs pg_dump, pg_restore and pg_dumpall were not found.")
}

function nearest(toolsets: readonly Toolset[], major: number): Toolset | undefined {
  return toolsets.toSorted(
    (left, right) => Math.abs(left.major - major) - Math.abs(right.major - major) || left.major - right.major,
  )[0]
}

function newest(toolsets: readonly Toolset[]): string {
  return toolsets.toSorted((left, right) => right.major - left.major)[0]?.version ?? 'none'
}

function majorOf(versionNumber: number): number {
  return Math.floor(versionNumber / 10_000)
}
