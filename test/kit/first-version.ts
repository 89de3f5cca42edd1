import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate } from 'drizzle-orm/postgres-js/migrator'
import postgres from 'postgres'
import type { Cluster } from '../../src/cluster/start.ts'
import { generateIdentity } from '../../src/secret/age-identity.ts'
import type { SecretBox } from '../../src/secret/secret-box.ts'
import { openStorage } from '../../src/storage/open.ts'
import { initialiseVault } from '../../src/storage/vault-layout.ts'
import { temporaryFolder } from './temporary-folder.ts'

const migrations = fileURLToPath(new URL('../../drizzle', import.meta.url))

/** Brings an empty database to the tables that the first version of Holdfast had. */
export async function migrateToFirstVersion(url: string): Promise<void> {
  await using folder = await temporaryFolder()
  await cp(migrations, folder.path, { recursive: true })
  const journalPath = join(folder.path, 'meta', '_journal.json')
  const journal: { entries: { tag: string }[] } = JSON.parse(await readFile(journalPath, 'utf8'))
  const entries = journal.entries.filter(({ tag }) => tag === '0000_first' || tag === '0001_audit_append_only')
  await writeFile(journalPath, JSON.stringify({ ...journal, entries }))
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await migrate(drizzle({ client }), { migrationsFolder: folder.path })
  } finally {
    await client.end()
  }
}

export const madeAt = new Date('2026-01-10T03:00:00.000Z')
const day = 86_400_000

/** The ids of what a first version left behind. */
export interface FirstVersionData {
  policyId: string
  vaultId: string
  serverId: string
  instanceId: string
  /** Two finished backups, the older one first, and one that was queued when the service stopped. */
  jobIds: [string, string, string]
  pointIds: [string, string]
  auditId: string
}

/** Fills such a database with what the first version had made: one server protected in one vault, with two points. */
export async function fillAsFirstVersion(
  url: string,
  { secrets, source, vaultPath }: { secrets: SecretBox; source: Cluster; vaultPath: string },
): Promise<FirstVersionData> {
  const id = () => crypto.randomUUID()
  const data: FirstVersionData = {
    policyId: id(),
    vaultId: id(),
    serverId: id(),
    instanceId: id(),
    jobIds: [id(), id(), id()],
    pointIds: [id(), id()],
    auditId: id(),
  }
  const { policyId, vaultId, serverId, instanceId } = data
  const { identity, recipient } = generateIdentity()
  await initialiseVault(openStorage({ kind: 'DIRECTORY', path: vaultPath }), { vaultId, recipient, now: madeAt })
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await sql`insert into backup_policies ${sql({ id: policyId, name: 'On demand, 30 days', default_retention: 'P30D', is_built_in: true, created_at: madeAt })}`
    await sql`insert into vaults ${sql({
      id: vaultId,
      name: 'main',
      kind: 'DIRECTORY',
      location: sql.json({ kind: 'DIRECTORY', path: vaultPath }),
      location_key: `directory:${vaultPath}`,
      recipient,
      sealed_identity: secrets.seal(identity),
      created_at: madeAt,
    })}`
    await sql`insert into postgres_servers ${sql({
      id: serverId,
      name: 'db',
      host: source.host,
      port: source.port,
      username: source.superuser,
      sealed_password: secrets.seal(source.password),
      password_set_at: madeAt,
      maintenance_database: 'postgres',
      tls_mode: 'DISABLE',
      created_at: madeAt,
    })}`
    await sql`insert into backup_instances ${sql({
      id: instanceId,
      name: 'db in main',
      server_id: serverId,
      vault_id: vaultId,
      policy_id: policyId,
      state: 'PROTECTION_CONFIGURED',
      state_since: madeAt,
      created_at: madeAt,
    })}`
    for (const [index, jobId] of data.jobIds.entries()) {
      const createdAt = new Date(madeAt.getTime() + (index + 1) * day)
      const isDone = index < 2
      await sql`insert into jobs ${sql({
        id: jobId,
        operation: 'BACKUP',
        status: isDone ? 'COMPLETED' : 'QUEUED',
        trigger: 'USER',
        input: sql.json({}),
        instance_id: instanceId,
        vault_id: vaultId,
        server_id: serverId,
        instance_name: 'db in main',
        policy_name: 'On demand, 30 days',
        exclusive_key: `backup:${instanceId}`,
        lanes: [`server:${serverId}`, `vault:${vaultId}`],
        attempt: isDone ? 1 : 0,
        max_attempts: 3,
        run_at: createdAt,
        created_at: createdAt,
        created_by: 'local',
        started_at: isDone ? createdAt : null,
        ended_at: isDone ? createdAt : null,
        event_sequence: 1,
      })}`
      await sql`insert into job_events ${sql({ job_id: jobId, sequence: 1, transaction_id: '1', at: createdAt, type: 'QUEUED', status: 'QUEUED', attempt: 0, data: sql.json({}) })}`
      const pointId = data.pointIds[index]
      if (pointId === undefined) continue
      await sql`insert into recovery_points ${sql({
        id: pointId,
        instance_id: instanceId,
        vault_id: vaultId,
        job_id: jobId,
        prefix: `points/${instanceId}/${jobId}.1/`,
        state: 'AVAILABLE',
        tag: 'DEFAULT',
        point_in_time: createdAt,
        created_at: createdAt,
        expires_at: new Date(createdAt.getTime() + 30 * day),
        proof: 'READ_BACK',
        proven_at: createdAt,
        manifest_sha256: '0'.repeat(64),
        server_version_number: 150_006,
        tool_major: 15,
        source_bytes: 5_000_000,
        stored_bytes: 1_000_000,
        databases: sql.json([]),
      })}`
    }
    await sql`insert into audit_records ${sql({ id: data.auditId, at: madeAt, actor: 'local', action: 'createVault', subject_kind: 'Vault', subject_id: vaultId, subject_name: 'main', detail: sql.json({ directory: vaultPath }) })}`
    return data
  } finally {
    await sql.end()
  }
}
