import type { Readable } from 'node:stream'
import type { Toolset } from './find-tools.ts'
import { runTool } from './run-tool.ts'

/**
 * Decodes a whole archive without keeping anything of it. Throws ARCHIVE_UNREADABLE when pg_restore
 * says that the archive is wrong, TOOL_FAILED when it fails for another reason, the stream's own error when that fails, or
 * the signal's reason. The stream is read to its end.
 */
export async function decodeArchive(
  tools: Toolset,
  archive: Readable,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  await runTool({
    tool: 'pg_restore',
    tools,
    what: 'Decoding the archive',
    stdin: archive,
    signal,
    args: ['--file=/dev/null'],
  })
}
