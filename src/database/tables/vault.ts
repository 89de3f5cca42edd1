import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'

export const storageKind = pgEnum('storage_kind', ['DIRECTORY', 'S3'])

/** Whether ways to remove points before their time are shut: UNLOCKED can be taken back, LOCKED never. */
export const immutability = pgEnum('immutability', ['DISABLED', 'UNLOCKED', 'LOCKED'])
export const orphanKind = pgEnum('orphan_kind', ['BYTES_WITHOUT_ROW', 'ROW_WITHOUT_BYTES'])

/** A bucket of an S3-compatible store, or a folder in it. */
export interface BucketLocation {
  kind: 'S3'
  bucket: string
  /** A folder ending in "/" that all keys begin with, or "". */
  prefix: string
  /** Where the store is, such as "https://s3.example.com"; null for Amazon's own. */
  endpoint: string | null
  region: string
  /** Whether requests name the bucket in their path, not in the host name. */
  pathStyle: boolean
  accessKeyId: string
  /** Sealed by the key file. */
  sealedSecretAccessKey: string
  /** When the access key was last set, as ISO 8601 writes it. */
  secretSetAt: string
}

/** Where a vault's bytes lie. */
export type VaultLocation = { kind: 'DIRECTORY'; path: string } | BucketLocation

/** What a vault's storage was seen to be able to do. */
export interface VaultCapabilities {
  conditionalCreate: boolean
  /** In bytes; null where only its space sets an end. */
  largestObjectBytes: number | null
}

export const vaults = pgTable('vaults', {
  id: uuid().primaryKey(),
  name: text().notNull().unique(),
  kind: storageKind().notNull(),
  location: jsonb().$type<VaultLocation>().notNull(),
  /** Equal for two spellings of one place, so that no place is two vaults. */
  locationKey: text().notNull().unique(),
  /** The age recipient (public key) that everything written is sealed for. */
  recipient: text().notNull(),
  /** The age identity (secret key), sealed by the key file. */
  sealedIdentity: text().notNull(),
  recoveryKeyExportedAt: timestamp({ precision: 3, withTimezone: true }),
  /** How long a deleted backup instance can be had back; 0: it is purged at once. */
  softDeleteDays: integer().notNull().default(14),
  immutability: immutability().notNull().default('DISABLED'),
  /** An expiry run that would remove a greater share of an instance's points stops and asks. */
  expiryShareLimitPercent: integer().notNull().default(50),
  /** As its storage last showed; null until protection has been configured with it. */
  capabilities: jsonb().$type<VaultCapabilities>(),
  /** What its storage last said of its space; null where it cannot tell. */
  freeBytes: bigint({ mode: 'number' }),
  spaceCheckedAt: timestamp({ precision: 3, withTimezone: true }),
  createdAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  /** Since when its key is the present one; null: since it was created. */
  recipientSince: timestamp({ precision: 3, withTimezone: true }),
  /** Whether Holdfast's own metadata is backed up into it by itself. */
  keepsMetadata: boolean().notNull().default(true),
  /** The moment of the newest copy of the metadata that was read back, and its size as stored, bytes. */
  metadataBackedUpAt: timestamp({ precision: 3, withTimezone: true }),
  metadataStoredBytes: bigint({ mode: 'number' }),
  /** Why the last attempt failed; null when it succeeded. */
  metadataFailedAt: timestamp({ precision: 3, withTimezone: true }),
  metadataFailure: text(),
})

/** Where a vault and its catalogue disagree, as last seen: counted and shown, never removed silently. */
export const vaultOrphans = pgTable(
  'vault_orphans',
  {
    vaultId: uuid()
      .notNull()
      .references(() => vaults.id, { onDelete: 'cascade' }),
    /** The folder in the vault. */
    prefix: text().notNull(),
    kind: orphanKind().notNull(),
    /** No foreign key: the instance may be gone. */
    instanceId: uuid().notNull(),
    recoveryPointId: uuid(),
    objectCount: integer().notNull(),
    sizeBytes: bigint({ mode: 'number' }).notNull(),
    firstSeenAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    lastSeenAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.vaultId, table.prefix] }),
    index('vault_orphans_by_instance').on(table.instanceId),
  ],
)
