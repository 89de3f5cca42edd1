import type { Writable } from 'node:stream'
import type { ServerAddress } from '../../engine/address.ts'
import { dumpCompression, dumpDatabase } from '../../engine/dump.ts'
import { dumpGlobals } from '../../engine/dump-globals.ts'
import type { Toolset } from '../../engine/find-tools.ts'
import type { DatabaseReport, ServerReport } from '../../engine/inspect.ts'
import type { BackupInstance } from '../../instance/instance.ts'
import type { JobRun } from '../../job/handler.ts'
import type { BackupPolicy } from '../../policy/policy.ts'
import type { PointFacts } from '../../recovery-point/contents/contents.ts'
import type { ContainedDatabase } from '../../recovery-point/recovery-point.ts'
import type { RetentionDecision } from '../../retention/decide-retention.ts'
import type { PostgresServer } from '../../server/server.ts'
import { type ArtifactDigest, readBackArtifact, type WriteArtifact, writeArtifact } from '../../storage/artifact.ts'
import type { Storage } from '../../storage/contract.ts'
import { checkPointHeader } from '../../storage/point-header.ts'
import type { SealedDigest } from '../../storage/sealed-json.ts'
import {
  artifactKey,
  globalsKey,
  type WritePointHeader,
  writeManifest,
  writePointHeader,
} from '../../storage/vault-layout.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import { mostImportedManifestBytes } from './check-manifest.ts'
import { containedDatabase } from './contained-database.ts'
import { contentsOf } from './contents-of.ts'
import { type Manifest, type ManifestArtifact, type ManifestDatabase, manifestFormat } from './manifest.ts'

export interface PointSource {
  storage: Storage
  vault: Vault
  address: ServerAddress
  report: ServerReport
  tools: Toolset
  prefix: string
}

/** What the manifest says beside what was dumped. */
export interface PointIdentity {
  id: string
  instance: BackupInstance
  vault: Vault
  server: PostgresServer
  policy: BackupPolicy
  retention: RetentionDecision
  createdAt: Date
}

/** Artifacts that lie in the vault; no recovery point before the manifest is written, and then, by `commitPoint`, the header. */
export interface WrittenPoint {
  prefix: string
  pointInTime: Date
  databases: ContainedDatabase[]
  /** What it holds, to be remembered. */
  contents: PointFacts
  artifacts: ManifestArtifact[]
  /** The manifest's digest, once it is written. */
  manifest: () => SealedDigest | undefined
  /** Bytes in the vault so far. */
  storedBytes: () => number
  /** Writes the manifest. */
  describe: (identity: PointIdentity) => Promise<SealedDigest>
}

/** Dumps every database, then roles and tablespaces, each into one sealed artifact below the attempt's own prefix. */
export async function writePoint(context: WorkerContext, run: JobRun, source: PointSource): Promise<WrittenPoint> {
  const { storage, vault, report, tools, prefix } = source
  const databases: ManifestDatabase[] = []
  const artifacts: ManifestArtifact[] = []
  const progress = sizeProgress(run, report.databases)
  for (const [index, database] of report.databases.entries()) {
    const dumped = await run.subTask(`Back up ${JSON.stringify(database.name)}`, (task) =>
      writeDatabase(context, run, {
        ...source,
        database,
        position: index + 1,
        onBytes: (bytes) => {
          progress.within(database, bytes)
          task.progress({ bytesDone: bytes, bytesTotal: Math.max(bytes, database.sizeBytes) })
        },
      }),
    )
    progress.finished(database, dumped.facts)
    databases.push(dumped.facts)
    artifacts.push(dumped.artifact)
  }
  artifacts.push(await run.subTask('Back up roles and tablespaces', () => writeGlobals(run, source)))

  let manifest: SealedDigest | undefined
  return {
    prefix,
    pointInTime: new Date(databases[0]?.snapshotAt ?? context.now()),
    databases: databases.map((facts) => containedDatabase(facts, artifacts)),
    contents: contentsOf({ databases, roles: report.roles }),
    artifacts,
    manifest: () => manifest,
    storedBytes: () => artifacts.reduce((sum, { digest }) => sum + digest.storedBytes, manifest?.storedBytes ?? 0),
    describe: async (identity) => {
      const value = manifestOf({ identity, source, job: run.job, databases, artifacts })
      manifest = await run.subTask('Write the manifest', () =>
        writeManifest(storage, prefix, { recipients: [vault.recipient], manifest: value, signal: run.signal }),
      )
      if (manifest.storedBytes > mostImportedManifestBytes) {
        run.warn(
          `The manifest has ${manifest.storedBytes} bytes, and importVault takes at most ${mostImportedManifestBytes}: protect fewer tables in one server.`,
        )
      }
      run.note('Archive format', `pg_dump custom format of ${tools.version}, sealed for ${vault.recipient}`)
      return manifest
    },
  }
}

/** Re-reads every artifact and the manifest from the vault; throws ARTIFACT_DAMAGED naming the first that differs. */
export async function readBackPoint({
  storage,
  written,
  signal,
  onBytes,
}: {
  storage: Storage
  written: Pick<WrittenPoint, 'prefix' | 'artifacts' | 'manifest'>
  signal: AbortSignal
  onBytes: (total: number) => void
}): Promise<void> {
  let before = 0
  for (const { file, digest } of written.artifacts) {
    const count = (bytes: number) => onBytes(before + bytes)
    await readBackArtifact(storage, `${written.prefix}${file}`, digest, { signal, onBytes: count })
    before += digest.storedBytes
  }
  const manifest = written.manifest()
  if (!manifest) return
  await readBackArtifact(storage, manifest.key, manifest, { signal })
}

/** Makes a folder a recovery point: writes the header, and makes sure that it can be read. Last of all, when the rest has been read back. */
export async function commitPoint(storage: Storage, prefix: string, header: WritePointHeader): Promise<void> {
  await writePointHeader(storage, prefix, header)
  await checkPointHeader(storage, prefix, header.manifest)
}

async function writeDatabase(
  { lockWaitMs }: WorkerContext,
  run: JobRun,
  source: PointSource & { database: DatabaseReport; position: number; onBytes: (bytes: number) => void },
): Promise<{ facts: ManifestDatabase; artifact: ManifestArtifact }> {
  const { storage, vault, address, tools, prefix, database, position, onBytes } = source
  const { signal } = run
  const compression = dumpCompression(tools)
  const key = artifactKey(prefix, position, compression)
  let facts: ManifestDatabase | undefined
  const digest = await writeWhole(
    storage,
    key,
    { recipients: [vault.recipient], compression, signal, onPlainBytes: onBytes },
    async (sink) => {
      const dumped = await dumpDatabase(address, { database: database.name, tools, sink, signal, lockWaitMs })
      for (const warning of dumped.warnings) run.warn(`${JSON.stringify(database.name)}: ${warning}`)
      facts = {
        report: database,
        snapshotAt: dumped.snapshotAt.toISOString(),
        tables: dumped.tables,
        schemas: dumped.schemas,
        partitionedTables: dumped.partitionedTables,
        ...(dumped.roles && { roles: dumped.roles }),
        isEmpty: dumped.isEmpty,
        largeObjectCount: dumped.largeObjectCount,
      }
    },
  )
  if (!facts) throw new Error('An artifact was committed without its dump having ended.')
  const artifact = {
    file: key.slice(prefix.length),
    kind: 'DATABASE',
    database: database.name,
    compression,
    digest,
    baseArtifact: null,
  } as const
  return { facts, artifact }
}

/** As writeArtifact, and whatever happens only when the program that fills it is gone as well. */
async function writeWhole(
  storage: Storage,
  key: string,
  options: WriteArtifact,
  fill: (sink: Writable) => Promise<void>,
): Promise<ArtifactDigest> {
  let filling: Promise<void> = Promise.resolve()
  try {
    return await writeArtifact(storage, key, options, (sink) => {
      filling = fill(sink)
      return filling
    })
  } finally {
    await filling.catch(() => undefined)
  }
}

async function writeGlobals(run: JobRun, source: PointSource): Promise<ManifestArtifact> {
  const { storage, vault, address, tools, prefix } = source
  const key = globalsKey(prefix)
  const digest = await writeWhole(
    storage,
    key,
    { recipients: [vault.recipient], compression: 'ZSTD', signal: run.signal },
    (sink) => dumpGlobals(address, { tools, sink, signal: run.signal }),
  )
  return {
    file: key.slice(prefix.length),
    kind: 'GLOBALS',
    database: null,
    compression: 'ZSTD',
    digest,
    baseArtifact: null,
  }
}

function manifestOf({
  identity,
  source,
  job,
  databases,
  artifacts,
}: {
  identity: PointIdentity
  source: PointSource
  job: JobRun['job']
  databases: ManifestDatabase[]
  artifacts: ManifestArtifact[]
}): Manifest {
  const { id, instance, vault, server, policy, retention, createdAt } = identity
  const { report, tools } = source
  return {
    format: manifestFormat,
    recoveryPointId: id,
    vaultId: vault.id,
    instance: { id: instance.id, name: instance.name },
    job: { id: job.id, attempt: job.attempt },
    server: {
      name: server.name,
      host: server.host,
      port: server.port,
      version: report.version,
      versionNumber: report.versionNumber,
      tlsMode: server.tlsMode,
      maintenanceDatabase: server.maintenanceDatabase,
    },
    tools: { version: tools.version, major: tools.major },
    policyName: policy.name,
    policyVersion: policy.rules.version,
    tag: retention.tag,
    pointInTime: databases[0]?.snapshotAt ?? createdAt.toISOString(),
    createdAt: createdAt.toISOString(),
    expiresAt: retention.expiresAt.toISOString(),
    databases,
    roles: report.roles,
    artifacts,
  }
}

/** Progress in bytes of the databases' sizes: a dump is smaller than its database, so the rest is added when it is done. */
function sizeProgress(run: JobRun, databases: readonly DatabaseReport[]) {
  const bytesTotal = databases.reduce((sum, database) => sum + database.sizeBytes, 0)
  let before = 0
  let rowsDone = 0
  run.progress({ bytesDone: 0, bytesTotal })
  return {
    within: (database: DatabaseReport, bytes: number) =>
      run.progress({ bytesDone: before + Math.min(bytes, database.sizeBytes) }),
    finished: (database: DatabaseReport, facts: ManifestDatabase) => {
      before += database.sizeBytes
      rowsDone += facts.tables.reduce((sum, table) => sum + table.rows, 0)
      run.progress({ bytesDone: before, rowsDone })
    },
  }
}
