import type { Readable, Writable } from 'node:stream'
import { type ArchivePart, choosePart, type WantedPart } from '../archive/archive-part.ts'
import { openArchive } from '../archive/open-archive.ts'
import type { Toolset } from '../find-tools.ts'
import { runTool } from '../run-tool.ts'

export interface PlainRequest {
  tools: Toolset
  /** What of the archive is written; all of it when left out. */
  part?: WantedPart | undefined
  /** Whether everything goes to the default tablespace. */
  omitsTablespaces: boolean
  sink: Writable
  signal: AbortSignal
}

/**
 * Writes an archive as SQL that psql reads, as it comes: nothing of it is kept. The statement that creates the database is
 * not in it. The sink is ended when it is whole, and destroyed otherwise; the archive is read to its end. Answers what was
 * chosen when a part was asked for, and what was left out of it.
 */
export async function writePlain(
  source: Readable,
  { tools, part: wanted, omitsTablespaces, sink, signal }: PlainRequest,
): Promise<ArchivePart | undefined> {
  const { archive, part } = wanted ? await chosenFrom(source, wanted) : { archive: source, part: undefined }
  await runTool({
    tool: 'pg_restore',
    tools,
    what: 'Writing the archive as SQL',
    stdin: archive,
    sink,
    useList: part?.useList,
    signal,
    args: ['--file=-', ...(omitsTablespaces ? ['--no-tablespaces'] : [])],
  })
  return part
}

async function chosenFrom(source: Readable, wanted: WantedPart): Promise<{ archive: Readable; part: ArchivePart }> {
  const { toc, archive } = await openArchive(source)
  try {
    return { archive, part: choosePart(toc, wanted) }
  } catch (error) {
    archive.destroy()
    throw error
  }
}
