import type { TableRows } from '../../engine/count-rows.ts'
import type { StructureFacts } from '../../engine/describe-structure.ts'
import type { DatabaseReport, RoleReport } from '../../engine/inspect.ts'
import type { PostgresServer } from '../../server/server.ts'
import type { ArtifactDigest, Compression } from '../../storage/artifact.ts'

/** What is written: plain bytes are digested with GMAC, and artifacts say what names their sealing. */
export const manifestFormat = 2
/** As version 0.3 and older wrote it: plain bytes are digested with sha256. A copy of such a point keeps it. */
export const olderManifestFormat = 1

/** One stored object of a recovery point. */
export interface ManifestArtifact {
  /** Its name inside the point's folder. */
  file: string
  kind: 'DATABASE' | 'GLOBALS'
  /** The database it holds; null for roles and tablespaces. */
  database: string | null
  /** What lies under the age sealing: ZSTD has to be decompressed, NONE is the archive itself. */
  compression: Compression
  digest: ArtifactDigest
  /** Room for artifacts that only hold what changed since another one; always null in this format version. */
  baseArtifact: null
}

/**
 * One database as it was in the snapshot that its dump was taken from. Manifests of version 0.2 tell neither the bytes of
 * tables nor schemas and partitions.
 */
export interface ManifestDatabase extends Partial<StructureFacts> {
  report: DatabaseReport
  snapshotAt: string
  tables: TableRows[]
  largeObjectCount: number
}

/** Everything about a recovery point: enough to restore it without Holdfast's own database. */
export interface Manifest {
  format: typeof manifestFormat | typeof olderManifestFormat
  recoveryPointId: string
  vaultId: string
  instance: { id: string; name: string }
  job: { id: string; attempt: number }
  /** How it is connected to is not told by manifests of version 0.2 and older. */
  server: {
    name: string
    host: string
    port: number
    version: string
    versionNumber: number
    tlsMode?: PostgresServer['tlsMode']
    maintenanceDatabase?: string
  }
  tools: { version: string; major: number }
  policyName: string
  /** Not told by manifests of version 0.2 and older. */
  policyVersion?: number
  tag: string
  pointInTime: string
  createdAt: string
  expiresAt: string
  databases: ManifestDatabase[]
  roles: RoleReport[]
  artifacts: ManifestArtifact[]
  /** The point that this one is a second copy of, and the vault where that was; left out of an original. */
  copyOf?: { recoveryPointId: string; vaultId: string }
}

/** The artifact that holds a database; undefined when the point has none of that name. */
export function artifactOf(manifest: Manifest, database: string): ManifestArtifact | undefined {
  return manifest.artifacts.find((artifact) => artifact.kind === 'DATABASE' && artifact.database === database)
}
