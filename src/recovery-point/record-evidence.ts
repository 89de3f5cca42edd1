import { randomUUID } from 'node:crypto'
import type { Database } from '../database/connect.ts'
import { recoveryPointProofs } from '../database/tables/recovery-point-proof.ts'
import type { ProofChecks, RecoveryPointProof } from './proof.ts'

export interface RecordEvidence extends Pick<RecoveryPointProof, 'level' | 'outcome' | 'startedAt' | 'endedAt'> {
  recoveryPointId: string
  /** The backup or the verification that looked. */
  jobId: string
  /** What it looked at; what is left out was not looked at. */
  checked: Pick<ProofChecks, 'artifacts' | 'storedBytes'> & Partial<ProofChecks>
}

const lookedAtNothing: Omit<ProofChecks, 'artifacts' | 'storedBytes'> = {
  plainBytes: null,
  databases: null,
  tables: null,
  rows: null,
  largeObjects: null,
  indexes: null,
  assertions: [],
  toolVersion: null,
  serverVersion: null,
  findings: [],
}

/** Writes down one look at a point: how far it went, what it looked at and what came of it. In the transaction that settles its job. */
export async function recordEvidence(tx: Database, { checked, ...evidence }: RecordEvidence): Promise<void> {
  await tx
    .insert(recoveryPointProofs)
    .values({ ...evidence, id: randomUUID(), checked: { ...lookedAtNothing, ...checked } })
}
