import { join } from 'node:path'
import { generateIdentity } from '../../src/secret/age-identity.ts'
import { writeArtifact } from '../../src/storage/artifact.ts'
import type { Storage } from '../../src/storage/contract.ts'
import { directoryStorage } from '../../src/storage/directory.ts'
import { artifactKey, initialiseVault, pointPrefix } from '../../src/storage/vault-layout.ts'
import type { Manifest } from '../../src/worker/point/manifest.ts'
import { olderDigest } from './older-digest.ts'
import { writePointEnd } from './point-end.ts'
import { put } from './storage-contract.ts'

/** A vault as some Holdfast has left it: its place and its keys are all that is known. */
export interface WrittenVault {
  storage: Storage
  path: string
  id: string
  recipient: string
  recoveryKey: string
  /** Adds a whole recovery point; `change` makes its manifest say something else before it is sealed. */
  addPoint: (seed?: PointSeed) => Promise<WrittenPoint>
}

export interface PointSeed {
  instanceId?: string
  jobId?: string
  createdAt?: string
  serverName?: string
  /** Whether its manifest is of the format that is written now. */
  isOfToday?: boolean
  change?: (manifest: Manifest) => unknown
}

export interface WrittenPoint {
  id: string
  instanceId: string
  prefix: string
  file: string
}

export const instanceId = '11111111-1111-4111-8111-111111111111'

/** Makes a vault in a folder without any service; its points hold one small artifact, which is no archive. */
export async function writeVault(folder: string, { name = 'vault' } = {}): Promise<WrittenVault> {
  const path = join(folder, name)
  const storage = directoryStorage(path)
  const id = crypto.randomUUID()
  const { identity, recipient } = generateIdentity()
  await initialiseVault(storage, { vaultId: id, recipient, now: new Date('2026-01-01T00:00:00Z') })
  const addPoint = (seed: PointSeed = {}) => writePoint({ storage, vaultId: id, recipient }, seed)
  return { storage, path, id, recipient, recoveryKey: identity, addPoint }
}

/** Adds a whole recovery point to a vault; it holds one small artifact, which is no archive. */
export async function writePoint(
  { storage, vaultId, recipient }: { storage: Storage; vaultId: string; recipient: string },
  seed: PointSeed = {},
): Promise<WrittenPoint> {
  const of = seed.instanceId ?? instanceId
  const { jobId = crypto.randomUUID(), createdAt = '2026-02-01T02:30:00.000Z', serverName = 'Orders' } = seed
  const prefix = pointPrefix(of, jobId, 1)
  const recoveryPointId = crypto.randomUUID()
  const key = artifactKey(prefix, 1, 'ZSTD')
  const how = { recipients: [recipient], compression: 'ZSTD' as const }
  const plain = Buffer.from(`archive of ${recoveryPointId}`)
  const written = await writeArtifact(storage, key, how, put(plain))
  const digest = seed.isOfToday ? written : olderDigest(written, plain)
  const file = key.slice(prefix.length)
  const manifest = {
    format: seed.isOfToday ? 2 : 1,
    recoveryPointId,
    vaultId,
    instance: { id: of, name: `${serverName} in Main` },
    job: { id: jobId, attempt: 1 },
    server: { name: serverName, host: 'db.example.org', port: 5432, version: '15.6', versionNumber: 150_006 },
    tools: { version: '15.6', major: 15 },
    policyName: 'Nightly',
    tag: 'DAILY',
    pointInTime: createdAt,
    createdAt,
    expiresAt: '2026-03-01T02:30:00.000Z',
    databases: [
      {
        report,
        snapshotAt: createdAt,
        tables: [{ schema: 'public', name: 'orders', rows: 12 }],
        largeObjectCount: 0,
      },
    ],
    roles: [],
    artifacts: [{ file, kind: 'DATABASE', database: 'shop', compression: 'ZSTD', digest, baseArtifact: null }],
  }
  await writePointEnd(storage, prefix, {
    recipients: [recipient],
    // As version 0.2 wrote it: the newer fields are left out.
    manifest: seed.change ? seed.change(manifest as unknown as Manifest) : manifest,
    header: { recoveryPointId, instanceId: of, vaultId },
    createdAt: new Date(createdAt),
  })
  return { id: recoveryPointId, instanceId: of, prefix, file }
}

const report = {
  name: 'shop',
  sizeBytes: 9_000,
  ownerName: 'owner',
  encoding: 'UTF8',
  localeProvider: 'LIBC',
  collate: 'C.UTF-8',
  ctype: 'C.UTF-8',
  locale: null,
  icuRules: null,
  connectionLimit: -1,
  comment: null,
  settings: [],
  acl: null,
  extensions: [],
  tablespaces: [],
}
