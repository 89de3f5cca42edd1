import type { ArchiveFormat } from '../../../restore/restore.ts'
import type { ManifestArtifact } from '../../point/manifest.ts'

export const globalsName = 'globals.sql'
export const instructionsName = 'RESTORE.md'

const longestPlainName = 60

/** File names that any file system, store and shell takes; the manifest says which database each of them holds. */
export function fileNamesOf(
  { kind, database }: ManifestArtifact,
  position: number,
  format: ArchiveFormat,
): { file: string; create: string } {
  if (kind === 'GLOBALS') return { file: globalsName, create: globalsName }
  const plain = (database ?? '').replace(/[^A-Za-z0-9_]+/g, '-').replace(/^-+|-+$/g, '')
  const stem = `${String(position).padStart(4, '0')}-${plain.slice(0, longestPlainName) || 'database'}`
  return { file: `${stem}.${format === 'CUSTOM' ? 'dump' : 'sql'}`, create: `${stem}.create.sql` }
}
