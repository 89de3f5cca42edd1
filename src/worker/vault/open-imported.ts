import type { JobRun } from '../../job/handler.ts'
import { Refusal } from '../../refusal.ts'
import { recipientOf } from '../../secret/age-identity.ts'
import type { Storage } from '../../storage/contract.ts'
import { type FormerKey, readKeyring } from '../../storage/keyring.ts'
import { isId } from '../../storage/point-header.ts'
import { StorageError } from '../../storage/storage-error.ts'
import {
  isKeyOf,
  proveIdentity,
  readVaultHeader,
  type VaultHeader,
  vaultHeaderKey,
} from '../../storage/vault-header.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import { findVaultImport, recordFormerKeys, recordImportedVault } from '../../vault/import/record-import.ts'
import { recordFoundKey } from '../../vault/key/record-rotation.ts'
import type { Vault } from '../../vault/vault.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { identitiesOf, storageOf, vaultOf } from '../subjects.ts'
import { mendVaultHeader } from './mend-vault-header.ts'

/** A vault whose key is proven. */
export interface OpenedVault {
  storage: Storage
  vaultId: string
  vaultName: string
  /** The present one first, then those before it, newest first. */
  keys: FormerKey[]
  /** The vault in the catalogue; undefined in a dry run of one that is not known. */
  vault: Vault | undefined
}

/**
 * Opens the vault that a job imports, or the known one whose catalogue it rebuilds. A vault that is not known is recorded,
 * once its key is proven and unless `dryRun`; of a known one whose header is lost or damaged that is written anew. Fails with VAULT_MISSING, WRONG_KEY or VAULT_NOT_IMPORTED.
 */
export async function openImported(
  context: WorkerContext,
  run: JobRun,
  { dryRun }: { dryRun: boolean },
): Promise<OpenedVault> {
  return run.job.vaultId === null
    ? await openNew(context, run, { dryRun })
    : await openKnown(context, run, { vaultId: run.job.vaultId, dryRun })
}

async function openNew(context: WorkerContext, run: JobRun, { dryRun }: { dryRun: boolean }): Promise<OpenedVault> {
  const { database, secrets } = context
  const given = await findVaultImport(database, run.job.id)
  if (!given) throw new WorkFailed('GONE', 'What the job was given to import is not there any more.')
  const identity = secrets.open(given.sealedIdentity)
  const storage = storageOf(context, given)
  const header = await readHeader(storage)
  await proveKey(run, header, identity)
  const former = await formerKeys(run, { storage, header, identity })
  const now = await context.dueNow()
  const facts = {
    vaultId: header.vaultId,
    createdAt: createdAtOf(header, now),
    formerKeys: sealed(context, former),
    now,
  }
  await run.confirm()
  const vault = dryRun
    ? undefined
    : await recordImportedVault(database, { ...facts, given, actor: 'holdfast' }).catch((cause) => {
        throw cause instanceof Refusal ? new WorkFailed('VAULT_NOT_IMPORTED', cause.message) : cause
      })
  const keys = [{ recipient: recipientOf(identity), identity }, ...former.toReversed()]
  return { storage, vaultId: header.vaultId, vaultName: given.name, keys, vault }
}

async function openKnown(
  context: WorkerContext,
  run: JobRun,
  { vaultId, dryRun }: { vaultId: string; dryRun: boolean },
): Promise<OpenedVault> {
  const before = await vaultOf(context.database, vaultId)
  const storage = storageOf(context, before)
  if (!dryRun) await mendVaultHeader(context, run, { storage, vault: before })
  await checkVault(storage, { vaultId, recipient: before.recipient })
  const header = await readHeader(storage)
  const given = (await giveKey(context, run, { header, dryRun })).map(pairOf)
  const vault = await vaultOf(context.database, vaultId)
  const known = (await identitiesOf(context, vault)).map(pairOf)
  const isPresent = ({ recipient }: FormerKey) => recipient === header.recipient
  const held = eachOnce([...given.filter(isPresent), ...known, ...given])
  const opener = held.find(isPresent) ?? given[0]
  const former = opener ? await formerKeys(run, { storage, header, identity: opener.identity }) : []
  const keys = eachOnce([...held, ...former.toReversed()])
  const lost = keys.filter((key) => !isPresent(key) && !known.some(({ recipient }) => recipient === key.recipient))
  if (!dryRun) {
    const now = await context.dueNow()
    await recordFormerKeys(context.database, {
      vaultId,
      createdAt: vault.createdAt,
      formerKeys: sealed(context, lost),
      now,
    })
  }
  return { storage, vaultId, vaultName: vault.name, keys, vault }
}

function pairOf(identity: string): FormerKey {
  return { identity, recipient: recipientOf(identity) }
}

function eachOnce(keys: readonly FormerKey[]): FormerKey[] {
  return [...new Map(keys.map((key) => [key.recipient, key])).values()]
}

/** The key that the job was given of a known vault. The present one is the vault's own in the catalogue too from then on. */
async function giveKey(
  { database, secrets, dueNow }: WorkerContext,
  run: JobRun,
  { header, dryRun }: { header: VaultHeader; dryRun: boolean },
): Promise<string[]> {
  const given = await findVaultImport(database, run.job.id)
  if (!given) return []
  const identity = secrets.open(given.sealedIdentity)
  const isPresent = await proveKey(run, header, identity)
  if (isPresent && !dryRun) {
    await run.confirm()
    const { recipient: to, sealedIdentity } = given
    await recordFoundKey(database, {
      vaultId: header.vaultId,
      to,
      sealedIdentity,
      jobId: run.job.id,
      now: await dueNow(),
    })
  }
  return [identity]
}

async function readHeader(storage: Storage): Promise<VaultHeader> {
  const header = await readVaultHeader(storage)
  if (!header) throw new WorkFailed('VAULT_MISSING', `The ${storage.description} holds no ${vaultHeaderKey}.`)
  if (isId(header.vaultId)) return header
  throw new StorageError('ARTIFACT_DAMAGED', vaultHeaderKey, `${vaultHeaderKey} does not name the vault by an id.`)
}

/**
 * Whether the key is the vault's present one; a former one opens what was sealed until it was rotated, which is better than
 * nothing, and is told. Fails with WRONG_KEY for any other.
 */
async function proveKey(run: JobRun, header: VaultHeader, identity: string): Promise<boolean> {
  const recipient = recipientOf(identity)
  if (recipient === header.recipient) {
    await proveIdentity(header, identity)
    return true
  }
  if (!isKeyOf(header, recipient)) {
    throw new WorkFailed(
      'WRONG_KEY',
      `The vault is sealed for ${header.recipient}, and the recovery key is that of ${recipient}.`,
    )
  }
  run.warn(
    `The recovery key is a former one of the vault (${recipient}): what was sealed for ${header.recipient} since then is not made known. If you find the present recovery key, import the vault again with it.`,
  )
  return false
}

/** The other keys that one opens. A keyring that is damaged holds up nothing: points sealed for that one are there all the same. */
async function formerKeys(
  run: JobRun,
  { storage, header, identity }: { storage: Storage; header: VaultHeader; identity: string },
): Promise<FormerKey[]> {
  const { keys, lost } = await readKeyring(storage, header, identity)
  for (const { message } of lost) {
    run.warn(`A former key of the vault cannot be read, so that points sealed for it are not made known: ${message}`)
  }
  return keys.filter((key) => key.identity !== identity)
}

function sealed({ secrets }: WorkerContext, keys: readonly FormerKey[]) {
  return keys.map(({ recipient, identity }) => ({ recipient, sealedIdentity: secrets.seal(identity) }))
}

function createdAtOf({ createdAt }: VaultHeader, now: Date): Date {
  const time = Date.parse(createdAt)
  return time > 0 && time <= now.getTime() ? new Date(time) : now
}
