import type { JobRun } from '../../job/handler.ts'
import { pageRecoveryPoints } from '../../recovery-point/find.ts'
import { manifestDigestsOf, type RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import type { Storage } from '../../storage/contract.ts'
import { listKeyring } from '../../storage/keyring.ts'
import { mostSealedBytes, readSmall, requireDigest } from '../../storage/sealed-json.ts'
import { StorageError } from '../../storage/storage-error.ts'
import { putVaultHeader, readVaultHeader, vaultHeaderKey } from '../../storage/vault-header.ts'
import { manifestKey } from '../../storage/vault-layout.ts'
import { findOtherKeys } from '../../vault/key/find.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'

/** So many of a vault's newest points are looked for. */
const witnesses = 20

/**
 * Writes the header of a known vault anew where it is lost or damaged, and a known point, byte for byte, shows that the place
 * is that vault. Does nothing where a key has been rotated of which the catalogue knows nothing: it would name the wrong one.
 */
export async function mendVaultHeader(
  { database }: WorkerContext,
  run: JobRun,
  { storage, vault }: { storage: Storage; vault: Vault },
): Promise<void> {
  if (await isReadable(storage)) return
  const inVault = await listKeyring(storage)
  if (inVault.includes(vault.recipient)) return
  const filter = { vaultId: vault.id }
  const { rows } = await pageRecoveryPoints(database, { filter, page: { first: witnesses } })
  if (!(await hasOneOf(storage, rows))) return
  const known = (await findOtherKeys(database, vault.id)).filter(({ state }) => state === 'FORMER')
  const forgotten = inVault.filter((recipient) => !known.some((key) => key.recipient === recipient))
  await run.confirm()
  await putVaultHeader(storage, {
    vaultId: vault.id,
    recipient: vault.recipient,
    createdAt: vault.createdAt,
    formerRecipients: [...forgotten, ...known.map(({ recipient }) => recipient)],
  })
  run.warn(`${vaultHeaderKey} was lost or damaged, and was written anew.`)
}

async function isReadable(storage: Storage): Promise<boolean> {
  try {
    return (await readVaultHeader(storage)) !== undefined
  } catch (cause) {
    if (cause instanceof StorageError && cause.code === 'ARTIFACT_DAMAGED') return false
    throw cause
  }
}

async function hasOneOf(storage: Storage, points: readonly RecoveryPoint[]): Promise<boolean> {
  for (const point of points) {
    const key = manifestKey(point.prefix)
    if ((await storage.size(key)) === undefined) continue
    const stored = await readSmall(storage, key, { mostBytes: mostSealedBytes })
    try {
      requireDigest(key, stored, manifestDigestsOf(point))
      return true
    } catch (cause) {
      if (!(cause instanceof StorageError)) throw cause
    }
  }
  return false
}
