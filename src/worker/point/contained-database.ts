import type { ContainedDatabase } from '../../recovery-point/recovery-point.ts'
import type { ManifestArtifact, ManifestDatabase } from './manifest.ts'

/** What the catalogue remembers of a database that a manifest tells of. */
export function containedDatabase(facts: ManifestDatabase, artifacts: readonly ManifestArtifact[]): ContainedDatabase {
  const stored = artifacts.find((artifact) => artifact.database === facts.report.name)
  return {
    name: facts.report.name,
    sourceBytes: facts.report.sizeBytes,
    storedBytes: stored?.digest.storedBytes ?? 0,
    tableCount: facts.tables.length,
    rowCount: facts.tables.reduce((sum, table) => sum + table.rows, 0),
    ...(facts.isEmpty !== undefined && { isEmpty: facts.isEmpty }),
  }
}
