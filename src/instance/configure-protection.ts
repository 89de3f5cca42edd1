import { randomUUID } from 'node:crypto'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { backupInstances } from '../database/tables/backup-instance.ts'
import { enqueueJob } from '../job/enqueue.ts'
import type { JobRow } from '../job/states.ts'
import { findBuiltInPolicy, lockPolicy } from '../policy/find.ts'
import type { BackupPolicy } from '../policy/policy.ts'
import { checkName, NameTaken, NotFound, Refusal } from '../refusal.ts'
import { lockServer } from '../server/find.ts'
import { type PostgresServer, requireCredentials } from '../server/server.ts'
import { lockVault } from '../vault/find.ts'
import type { Vault } from '../vault/vault.ts'
import type { BackupInstance } from './instance.ts'

/** The server is protected in that vault already. */
export class AlreadyProtected extends Refusal {
  readonly instanceId: string

  constructor(server: PostgresServer, vault: Vault, existing: BackupInstance) {
    super(`Server "${server.name}" is protected in vault "${vault.name}" already, by "${existing.name}".`, [
      'Use that backup instance, or protect the server in another vault.',
    ])
    this.instanceId = existing.id
  }
}

/** A deleted backup instance of the server still holds its place in the vault, for it can be had back. */
export class PlaceHeldBySoftDeleted extends Refusal {
  readonly instanceId: string
  /** When its place is free at the earliest. */
  readonly scheduledPurgeAt: Date

  constructor(server: PostgresServer, vault: Vault, deleted: BackupInstance, scheduledPurgeAt: Date) {
    super(
      `Server "${server.name}" was protected in vault "${vault.name}" by "${deleted.name}", which was deleted and is purged from ${scheduledPurgeAt.toISOString()} on.`,
      [
        'Undelete that backup instance and resume its protection, or protect the server in another vault.',
        'To begin anew in the same vault, wait until the purge has ended.',
      ],
    )
    this.instanceId = deleted.id
    this.scheduledPurgeAt = scheduledPurgeAt
  }
}

export interface ConfigureProtection {
  serverId: string
  vaultId: string
  /** Null: the built-in policy. */
  policyId: string | null
  /** Null: made of the server's name and the vault's. */
  name: string | null
  actor: string
  now: Date
}

/**
 * Begins to protect a server: the backup instance is there at once, in CONFIGURING_PROTECTION, and the job
 * answered with it checks server and vault. One instance per server and vault.
 */
export async function configureProtection(
  database: Database,
  { serverId, vaultId, policyId, name, actor, now }: ConfigureProtection,
): Promise<{ instance: BackupInstance; job: JobRow }> {
  if (name !== null) checkName('name', name)
  return database.transaction(async (tx) => {
    const { server, vault, policy } = await findParts(tx, { serverId, vaultId, policyId })
    const values = {
      id: randomUUID(),
      name: name ?? `${server.name} in ${vault.name}`,
      serverId,
      vaultId,
      policyId: policy.id,
      policyVersion: policy.version,
      state: 'CONFIGURING_PROTECTION' as const,
      stateSince: now,
      createdAt: now,
    }
    const [instance] = await tx.insert(backupInstances).values(values).onConflictDoNothing().returning()
    if (!instance) throw await whyTaken(tx, { server, vault, name: values.name })
    const job = await enqueueConfiguration(tx, { instance, policyName: policy.name, actor, now })
    await recordAudit(tx, {
      actor,
      action: 'configureProtection',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      after: { state: instance.state, policy: policy.name, policyVersion: policy.version },
      detail: { server: server.name, vault: vault.name, policy: policy.name },
      now,
    })
    return { instance, job }
  })
}

/** Enqueues the job that checks an instance's server and vault; call it in the transaction that set the state. */
export async function enqueueConfiguration(
  tx: Database,
  { instance, policyName, actor, now }: { instance: BackupInstance; policyName: string; actor: string; now: Date },
): Promise<JobRow> {
  return enqueueJob(tx, {
    operation: 'CONFIGURE_PROTECTION',
    trigger: 'USER',
    input: {},
    subject: {
      instanceId: instance.id,
      vaultId: instance.vaultId,
      serverId: instance.serverId,
      instanceName: instance.name,
      policyName,
    },
    exclusiveKey: `configure:${instance.id}`,
    lanes: [`server:${instance.serverId}`, `vault:${instance.vaultId}`],
    maxAttempts: 1,
    actor,
    now,
  })
}

/** The server, the vault and the policy, held as they are until the transaction ends; without a policy's id the built-in one. */
export async function findParts(
  tx: Database,
  { serverId, vaultId, policyId }: { serverId: string; vaultId: string; policyId: string | null },
): Promise<{ server: PostgresServer; vault: Vault; policy: BackupPolicy }> {
  const server = await lockServer(tx, serverId)
  if (!server) throw new NotFound('server')
  requireCredentials(server)
  const vault = await lockVault(tx, vaultId)
  if (!vault) throw new NotFound('vault')
  const followed = policyId ?? (await findBuiltInPolicy(tx))?.id
  const policy = followed === undefined ? undefined : await lockPolicy(tx, followed)
  if (!policy) throw new NotFound('policy')
  return { server, vault, policy }
}

async function whyTaken(
  tx: Database,
  { server, vault, name }: { server: PostgresServer; vault: Vault; name: string },
): Promise<Refusal> {
  const existing = await findInstanceAt(tx, { serverId: server.id, vaultId: vault.id })
  if (!existing) return new NameTaken('backup instance', name)
  return existing.state === 'SOFT_DELETED'
    ? heldBySoftDeleted(server, vault, existing)
    : new AlreadyProtected(server, vault, existing)
}

/** The backup instance that has the server's place in the vault, whatever its state; undefined when none has. */
export async function findInstanceAt(
  tx: Database,
  { serverId, vaultId }: { serverId: string; vaultId: string },
): Promise<BackupInstance | undefined> {
  const [existing] = await tx
    .select()
    .from(backupInstances)
    .where(and(eq(backupInstances.serverId, serverId), eq(backupInstances.vaultId, vaultId)))
  return existing
}

/** The refusal where the instance that has the place was deleted. */
export function heldBySoftDeleted(server: PostgresServer, vault: Vault, deleted: BackupInstance): Refusal {
  return new PlaceHeldBySoftDeleted(server, vault, deleted, deleted.scheduledPurgeAt ?? deleted.stateSince)
}
