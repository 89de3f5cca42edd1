import type { Readable } from 'node:stream'
import type { Toolset } from './find-tools.ts'
import { runTool } from './run-tool.ts'

/**
 * Decodes a whole archive without keeping anything of it. Throws ARCHIVE_UNREADABLE when pg_restore cannot, the stream's
 * own error when that fails, or the signal's reason. The stream is read to its end.
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
    otherwise: 'ARCHIVE_UNREADABLE',
  })
}
