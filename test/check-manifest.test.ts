import { expect, test } from 'vitest'
import { manifestOf } from '../src/worker/point/check-manifest.ts'

const [recoveryPointId, vaultId, instanceId, jobId] = Array.from({ length: 4 }, () => crypto.randomUUID())
const sha256 = 'a'.repeat(64)
const digest = { storedBytes: 10, storedSha256: sha256, plainBytes: 5, plainSha256: sha256 }

/** As the present version writes it, with every field that any version has. */
const manifest = {
  format: 1,
  recoveryPointId,
  vaultId,
  instance: { id: instanceId, name: 'Orders in Main' },
  job: { id: jobId, attempt: 1 },
  server: {
    name: 'Orders',
    host: 'db.example.org',
    port: 5432,
    version: '17.2',
    versionNumber: 170_002,
    tlsMode: 'REQUIRE',
    maintenanceDatabase: 'postgres',
  },
  tools: { version: '17.2', major: 17 },
  policyName: 'Nightly',
  policyVersion: 2,
  tag: 'DAILY',
  pointInTime: '2026-02-01T02:30:00.000Z',
  createdAt: '2026-02-01T02:31:00.000Z',
  expiresAt: '2026-03-01T02:30:00.000Z',
  databases: [
    {
      report: {
        name: 'shop',
        sizeBytes: 9_000,
        ownerName: 'owner',
        encoding: 'UTF8',
        localeProvider: 'ICU',
        collate: 'C.UTF-8',
        ctype: 'C.UTF-8',
        locale: 'und',
        icuRules: null,
        connectionLimit: -1,
        comment: 'what is sold',
        settings: [{ role: null, name: 'search_path', value: '"a", b' }],
        acl: [{ grantee: null, privilege: 'CONNECT', isGrantable: false }],
        extensions: [{ name: 'plpgsql', version: '1.0', schema: 'pg_catalog' }],
        tablespaces: ['fast'],
      },
      snapshotAt: '2026-02-01T02:30:00.000Z',
      tables: [
        { schema: 'public', name: 'orders', rows: 12, bytes: 8192, partitionOf: { schema: 'public', name: 'o' } },
      ],
      schemas: [{ name: 'public', ownerName: 'owner' }],
      partitionedTables: [{ schema: 'public', name: 'o', partitionOf: { schema: 'public', name: 'p' } }],
      largeObjectCount: 0,
    },
  ],
  roles: [
    {
      name: 'owner',
      isSuperuser: false,
      canLogin: true,
      inherits: true,
      createsDatabases: false,
      createsRoles: false,
      isReplication: false,
      bypassesRowSecurity: false,
      connectionLimit: 3,
      validUntil: null,
      comment: null,
      settings: [{ name: 'work_mem', value: '4MB' }],
      memberships: [{ role: 'readers', isAdmin: false, inherits: true, sets: null }],
    },
  ],
  artifacts: [
    { file: '0001.dump.age', kind: 'DATABASE', database: 'shop', compression: 'NONE', digest, baseArtifact: null },
  ],
  copyOf: { recoveryPointId: crypto.randomUUID(), vaultId: crypto.randomUUID() },
}

const optional = ['tlsMode', 'maintenanceDatabase', 'policyVersion', 'bytes', 'partitionOf', 'schemas']
const mayBeLeftOut = [...optional, 'partitionedTables', 'copyOf', 'baseArtifact']

/** Every field of a value, and of all within it, by the way that leads there. */
function waysIn(value: unknown, way: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [way]
  const within = Object.entries(value).flatMap(([name, inner]) => waysIn(inner, [...way, name]))
  return way.length > 0 ? [way, ...within] : within
}

/** The manifest with something else at the end of a way; without that field where nothing is given. */
function changed(way: readonly string[], change: { value: unknown } | undefined): unknown {
  const copy = structuredClone(manifest)
  const holder = way.slice(0, -1).reduce((at, name) => Object(at)[name], copy as unknown)
  const name = way.at(-1) ?? ''
  if (change) Object(holder)[name] = change.value
  else delete Object(holder)[name]
  return copy
}

const ways = waysIn(manifest)
const names = ways.map((way) => ({ way, at: way.join('.') }))

test('a manifest as it is written is read, and without what older versions do not tell', () => {
  expect(manifestOf(structuredClone(manifest))).toEqual(manifest)
  for (const { way, at } of names.filter(({ way: [...each] }) => mayBeLeftOut.includes(each.at(-1) ?? ''))) {
    expect(manifestOf(changed(way, undefined)), at).toBeDefined()
  }
})

test('a manifest that lacks any other field is none', () => {
  const needed = names.filter(({ way }) => !mayBeLeftOut.includes(way.at(-1) ?? '') && !/^\d+$/.test(way.at(-1) ?? ''))
  expect(needed.length).toBeGreaterThan(60)
  for (const { way, at } of needed) expect(manifestOf(changed(way, undefined)), at).toBeUndefined()
})

test('a manifest with a value of another kind in any field is none', () => {
  for (const { way, at } of names.filter((each) => !each.at.endsWith('baseArtifact'))) {
    for (const value of [{}, [7], 'x\0y', 1.5]) {
      expect(manifestOf(changed(way, { value })), `${at}: ${JSON.stringify(value)}`).toBeUndefined()
    }
  }
})

test('a manifest whose grants are statements is none', () => {
  const way = ['databases', '0', 'report', 'acl', '0', 'privilege']
  for (const value of ['ALL ON SCHEMA public TO public; --', 'connect', 'SUPERUSER', '', ['CREATE']]) {
    expect(manifestOf(changed(way, { value }))).toBeUndefined()
  }
  for (const value of ['CREATE', 'TEMPORARY']) expect(manifestOf(changed(way, { value }))).toBeDefined()
})

test('a manifest of today says of every artifact what names its sealing, and the digest of today', () => {
  const { plainSha256: _, ...stored } = digest
  const today = { ...stored, sealSha256: sha256, plainGmac: 'b'.repeat(32), plainGmacKey: 'c'.repeat(64) }
  const withDigest = (fields: object, format = 2) => {
    const artifacts = manifest.artifacts.map((artifact) => ({ ...artifact, digest: fields }))
    return manifestOf({ ...manifest, format, artifacts })
  }
  expect(withDigest(today)).toBeDefined()
  const wrong = [
    digest,
    { ...today, sealSha256: undefined },
    { ...today, plainGmac: undefined },
    { ...today, plainGmac: 'B'.repeat(32) },
    { ...today, plainGmacKey: 'c'.repeat(63) },
    { ...today, plainSha256: sha256 },
    { ...today, plainBytes: -1 },
  ]
  for (const each of wrong) expect(withDigest(each), JSON.stringify(each)).toBeUndefined()
  expect(withDigest(today, 1)).toBeUndefined()
  // A copy of an older point, made by this version.
  expect(withDigest({ ...digest, sealSha256: sha256 }, 1)).toBeDefined()
  expect(withDigest({ ...digest, sealSha256: 'no' }, 1)).toBeUndefined()
})
