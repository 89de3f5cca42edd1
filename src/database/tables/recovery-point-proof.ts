import { index, jsonb, pgEnum, pgTable, timestamp, uuid } from 'drizzle-orm/pg-core'
import { jobs } from './job.ts'
import { proofLevel, recoveryPoints } from './recovery-point.ts'

export const proofOutcome = pgEnum('proof_outcome', ['PROVEN', 'FAILED'])

/** What an operator's assertion came to in the restored copy. */
export interface CheckedAssertion {
  name: string
  database: string
  holds: boolean
}

/** What was looked at for one proof; null where the level does not look at it. */
export interface ProofChecks {
  /** Stored objects whose bytes were read, the manifest included. */
  artifacts: number
  storedBytes: number
  /** What the archives opened to, all of it decoded. */
  plainBytes: number | null
  databases: number | null
  tables: number | null
  rows: number | null
  largeObjects: number | null
  /** B-tree indexes that amcheck compared with their tables; null also where amcheck is not to be had. */
  indexes: number | null
  assertions: CheckedAssertion[]
  /** Of pg_restore, and of the scratch server. */
  toolVersion: string | null
  serverVersion: string | null
  /** Why the point was not found good, one sentence each; empty when it was. */
  findings: string[]
}

/** Every time that a recovery point was shown good to a level, or was found not to be. */
export const recoveryPointProofs = pgTable(
  'recovery_point_proofs',
  {
    id: uuid().primaryKey(),
    recoveryPointId: uuid()
      .notNull()
      .references(() => recoveryPoints.id, { onDelete: 'cascade' }),
    level: proofLevel().notNull(),
    outcome: proofOutcome().notNull(),
    startedAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    endedAt: timestamp({ precision: 3, withTimezone: true }).notNull(),
    /** The backup or the verification that looked. */
    jobId: uuid()
      .notNull()
      .references(() => jobs.id),
    checked: jsonb().$type<ProofChecks>().notNull(),
  },
  (table) => [index('recovery_point_proofs_by_point').on(table.recoveryPointId, table.endedAt, table.id)],
)
