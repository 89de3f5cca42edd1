import type { Database } from '../../database/connect.ts'
import type { BackupInstance } from '../../instance/instance.ts'
import { enqueueOrFind } from '../../job/enqueue.ts'
import { findVaults } from '../../vault/find.ts'
import type { RecoveryPoint } from '../recovery-point.ts'
import { copyJob } from './copy.ts'

/**
 * Adds the job that copies a point which has just been recorded, in the same transaction, where its vault names a replica.
 * Nothing is copied of a deleted instance.
 */
export async function enqueueCopy(
  tx: Database,
  { instance, point, now }: { instance: BackupInstance; point: RecoveryPoint; now: Date },
): Promise<void> {
  if (instance.state === 'SOFT_DELETED') return
  const [vault] = await findVaults(tx, [point.vaultId])
  if (!vault?.replicaId) return
  await enqueueOrFind(tx, copyJob({ instance, point, replicaId: vault.replicaId, now }))
}
