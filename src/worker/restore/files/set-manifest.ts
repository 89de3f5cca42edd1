import type { WantedPart } from '../../../engine/archive/archive-part.ts'
import { rowsOfPart } from '../../../engine/compare-rows.ts'
import type { ArchiveFormat, FilesRequest, RestoreReport } from '../../../restore/restore.ts'
import type { Manifest, ManifestDatabase } from '../../point/manifest.ts'
import type { WrittenFile } from './write-file.ts'

/** The name of the file that is written last: where it is, the set is complete. */
export const setManifestName = 'manifest.json'

/** A file of a restored set, and what is in it. */
export interface SetFile extends WrittenFile {
  /** CREATE: the statements that create a database. */
  kind: 'DATABASE' | 'CREATE' | 'GLOBALS' | 'INSTRUCTIONS'
  /** Null for what belongs to all of them. */
  database: string | null
}

/** What `manifest.json` of a restored set says: where it comes from, every file, and the rows of every table. */
export type SetManifest = Omit<Manifest, 'artifacts'> & {
  restore: {
    job: string
    attempt: number
    format: ArchiveFormat
    part: WantedPart | null
    /** What could not come with the part, a sentence each; not told by version 0.3 and older. */
    omitted?: string[]
  }
  files: SetFile[]
}

/** The manifest of a set: of the point's only what is in the set; of a part, the tables that came with it. */
export function setManifestOf(
  { artifacts: _, ...manifest }: Manifest,
  {
    request,
    job,
    files,
    partTables,
    omitted,
  }: {
    request: FilesRequest
    job: { id: string; attempt: number }
    files: SetFile[]
    /** The tables of the part; undefined when the databases are whole. */
    partTables: readonly { schema: string; name: string }[] | undefined
    /** What could not come with the part, a sentence each. */
    omitted: string[]
  },
): SetManifest {
  const { format, part } = request
  const databases = manifest.databases
    .filter(({ report }) => request.databases.includes(report.name))
    .map((facts): ManifestDatabase => (partTables ? { ...facts, ...rowsOfPart(facts, partTables) } : facts))
  const chosen = part && { schemas: part.schemas, tables: part.tables }
  return {
    ...manifest,
    databases,
    restore: { job: job.id, attempt: job.attempt, format, part: chosen, omitted },
    files,
  }
}

/** What a finished restore brought back, as its manifest says; `sizeBytes` is the manifest's own size. */
export function reportOf(destination: string, manifest: SetManifest, sizeBytes: number): RestoreReport {
  return {
    destination,
    databases: manifest.databases.map(({ report: { name }, tables }) => ({
      name,
      targetName: name,
      tableCount: tables.length,
      rowCount: tables.reduce((sum, { rows }) => sum + rows, 0),
    })),
    files: [
      ...manifest.files.map(({ file, sizeBytes: size }) => ({ name: file, sizeBytes: size })),
      { name: setManifestName, sizeBytes },
    ],
    rolesCreated: [],
    omitted: manifest.restore.omitted ?? [],
  }
}

/** The manifest in a text, if it is that of a set which an attempt of this job completed; undefined for every other text. */
export function ownManifest(text: string, jobId: string): SetManifest | undefined {
  try {
    const value: unknown = JSON.parse(text)
    // Written by an attempt of that very job, so that it is a manifest in the shape above.
    const manifest = value as SetManifest
    return manifest.restore?.job === jobId ? manifest : undefined
  } catch {
    return undefined
  }
}
