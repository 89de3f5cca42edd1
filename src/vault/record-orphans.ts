import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Database } from '../database/connect.ts'
import { vaultOrphans } from '../database/tables/vault.ts'
import { recordNotification } from '../notification/record.ts'
import type { Vault } from './vault.ts'

/** A disagreement between a vault and its catalogue, as it was seen. */
export interface SeenOrphan {
  prefix: string
  kind: (typeof vaultOrphans.$inferSelect)['kind']
  recoveryPointId: string | null
  objectCount: number
  sizeBytes: number
}

export interface RecordOrphans {
  vault: Pick<Vault, 'id' | 'name'>
  instance: { id: string; name: string }
  /** All that were seen below the instance's folder just now. */
  orphans: readonly SeenOrphan[]
  jobId: string
  now: Date
}

/**
 * Writes down where a vault and its catalogue disagree about one instance, in place of what was written before; what is
 * still there keeps the time it was first seen. Those that were not known yet are told once. Nothing of it is removed.
 */
export async function recordOrphans(
  database: Database,
  { vault, instance, orphans, jobId, now }: RecordOrphans,
): Promise<void> {
  await database.transaction(async (tx) => {
    const known = await tx
      .select({ prefix: vaultOrphans.prefix })
      .from(vaultOrphans)
      .where(and(eq(vaultOrphans.vaultId, vault.id), eq(vaultOrphans.instanceId, instance.id)))
      .for('update')
    const seen = new Set(orphans.map(({ prefix }) => prefix))
    const gone = known.flatMap(({ prefix }) => (seen.has(prefix) ? [] : [prefix]))
    for (const prefixes of inParts(gone)) {
      await tx
        .delete(vaultOrphans)
        .where(and(eq(vaultOrphans.vaultId, vault.id), inArray(vaultOrphans.prefix, prefixes)))
    }
    for (const part of inParts(orphans)) {
      await tx
        .insert(vaultOrphans)
        .values(
          part.map((orphan) => ({
            ...orphan,
            vaultId: vault.id,
            instanceId: instance.id,
            firstSeenAt: now,
            lastSeenAt: now,
          })),
        )
        .onConflictDoUpdate({
          target: [vaultOrphans.vaultId, vaultOrphans.prefix],
          set: {
            kind: sql`excluded.kind`,
            recoveryPointId: sql`excluded.recovery_point_id`,
            objectCount: sql`excluded.object_count`,
            sizeBytes: sql`excluded.size_bytes`,
            lastSeenAt: now,
          },
        })
    }
    const before = new Set(known.map(({ prefix }) => prefix))
    await tell(
      tx,
      orphans.filter(({ prefix }) => !before.has(prefix)),
      { vault, instance, jobId, now },
    )
  })
}

/** What an operator is told about orphans, one sentence. */
export function orphanSentence(orphans: readonly SeenOrphan[], vaultName: string, instanceName: string): string {
  const strays = orphans.filter(({ kind }) => kind === 'BYTES_WITHOUT_ROW')
  const sizeBytes = strays.reduce((sum, orphan) => sum + orphan.sizeBytes, 0)
  const lost = orphans.length - strays.length
  const parts = [
    ...(strays.length > 0 ? [`${strays.length} folders (${sizeBytes} bytes) belong to no recovery point`] : []),
    ...(lost > 0 ? [`${lost} recovery points have lost files`] : []),
  ]
  const [first] = orphans
  return `Vault "${vaultName}" and its catalogue disagree about "${instanceName}": ${parts.join(', and ')}; the first is ${first?.prefix ?? ''}.`
}

async function tell(
  tx: Database,
  fresh: readonly SeenOrphan[],
  { vault, instance, jobId, now }: Omit<RecordOrphans, 'orphans'>,
): Promise<void> {
  if (fresh.length === 0) return
  await recordNotification(tx, {
    kind: 'VAULT_ORPHANS_FOUND',
    severity: fresh.some(({ kind }) => kind === 'ROW_WITHOUT_BYTES') ? 'ERROR' : 'WARNING',
    message: orphanSentence(fresh, vault.name, instance.name),
    recommendedActions: [
      "Look at the vault's orphans; Holdfast removes none of them by itself.",
      'Find out who wrote or removed files there, and remove by hand what nobody needs.',
    ],
    about: { instanceId: instance.id, vaultId: vault.id, jobId, name: vault.name },
    now,
  })
}

function* inParts<Item>(items: readonly Item[]): Generator<Item[]> {
  for (let start = 0; start < items.length; start += 1_000) yield items.slice(start, start + 1_000)
}
