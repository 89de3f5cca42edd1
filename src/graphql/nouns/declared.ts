import { type AuditRecord as AuditRow, findAuditRecords } from '../../audit/find.ts'
import { findInstances } from '../../instance/find.ts'
import { findJobs } from '../../job/find.ts'
import type { JobEvent as JobEventRow } from '../../job/states.ts'
import { findChannels } from '../../notification/channel/find.ts'
import { findDeliveries } from '../../notification/delivery/find.ts'
import { findNotifications } from '../../notification/find.ts'
import { findPolicies } from '../../policy/find.ts'
import { findRecoveryPoints } from '../../recovery-point/find.ts'
import { NotFound } from '../../refusal.ts'
import { findServers } from '../../server/find.ts'
import { findStorageAccounts, findStorageContainers } from '../../storage-account/find.ts'
import { findVaults } from '../../vault/find.ts'
import { builder } from '../schema/builder.ts'
import { connectionOf } from '../schema/connections.ts'
import type { NodeId } from '../schema/ids.ts'
import { node } from '../schema/node.ts'

// Every noun, apart from what it says, so that nouns can name each other.
export const Vault = node('Vault', findVaults)
export const BackupPolicy = node('BackupPolicy', findPolicies)
export const PostgresServer = node('PostgresServer', findServers)
export const BackupInstance = node('BackupInstance', findInstances)
export const RecoveryPoint = node('RecoveryPoint', findRecoveryPoints)
export const Job = node('Job', findJobs)
export const AuditRecord = node('AuditRecord', findAuditRecords)
export const Notification = node('Notification', findNotifications)
export const NotificationChannel = node('NotificationChannel', findChannels)
export const NotificationDelivery = node('NotificationDelivery', findDeliveries)
export const StorageAccount = node('StorageAccount', findStorageAccounts)
export const StorageContainer = node('StorageContainer', findStorageContainers)
export const JobEvent = builder.objectRef<JobEventRow>('JobEvent')

export const VaultConnection = connectionOf(Vault, (vault) => vault.createdAt)
export const BackupPolicyConnection = connectionOf(BackupPolicy, (policy) => policy.createdAt)
export const PostgresServerConnection = connectionOf(PostgresServer, (server) => server.createdAt)
export const BackupInstanceConnection = connectionOf(
  BackupInstance,
  (instance) => instance.createdAt,
  (instance) => instance.name,
)
export const RecoveryPointConnection = connectionOf(RecoveryPoint, (point) => point.createdAt)
export const JobConnection = connectionOf(Job, (job) => job.createdAt)
export const AuditRecordConnection = connectionOf(AuditRecord, (record: AuditRow) => record.at)
export const NotificationConnection = connectionOf(Notification, (notification) => notification.at)
export const NotificationChannelConnection = connectionOf(NotificationChannel, (channel) => channel.createdAt)
export const NotificationDeliveryConnection = connectionOf(NotificationDelivery, (delivery) => delivery.createdAt)
export const StorageAccountConnection = connectionOf(StorageAccount, (account) => account.createdAt)
export const StorageContainerConnection = connectionOf(StorageContainer, (container) => container.createdAt)

const kinds = {
  Vault: 'vault',
  BackupPolicy: 'policy',
  PostgresServer: 'server',
  BackupInstance: 'backup instance',
  RecoveryPoint: 'recovery point',
  Job: 'job',
  NotificationChannel: 'notification channel',
  StorageAccount: 'storage account',
  StorageContainer: 'storage container',
} as const

/** The row's own id out of a mutation's input; an id of another kind of object is refused, with the field that it stands in. */
export function idOf(noun: keyof typeof kinds, { typename, id, field }: NodeId): string {
  if (typename !== noun) throw new NotFound(kinds[noun], { field: field ?? null, given: typename, needed: noun })
  return id
}
