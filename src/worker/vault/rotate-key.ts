import { recountOverdue } from '../../instance/schedule/recount-overdue.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { findRecoveryPoints } from '../../recovery-point/find.ts'
import { recordDamage } from '../../recovery-point/record-damage.ts'
import { manifestDigestsOf, type RecoveryPoint } from '../../recovery-point/recovery-point.ts'
import { announceManifest, findPointsToRewrap, recordRewrap } from '../../recovery-point/rewrap.ts'
import type { Storage } from '../../storage/contract.ts'
import { type FormerKey, readKeyring, writeKeyring } from '../../storage/keyring.ts'
import { rewrapPoint } from '../../storage/rewrap-point.ts'
import { readVaultHeader, switchVaultKey, type VaultHeader } from '../../storage/vault-header.ts'
import { checkVault, refreshSelfRestore } from '../../storage/vault-layout.ts'
import { findOtherKeys } from '../../vault/key/find.ts'
import { forgetUnusedKeys, recordNewKey } from '../../vault/key/record-rotation.ts'
import type { Vault } from '../../vault/vault.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { certainOf, damageIn } from '../point/damage.ts'
import { headerMarkOf } from '../point/read-point.ts'
import { identitiesOf, storageOf, vaultOf } from '../subjects.ts'

const pageSize = 100

/**
 * Gives vaults their new keys. The order makes it safe to be killed anywhere, and to be gone on with by another worker:
 * the former keys lie in the vault sealed for the new one, then the vault's header names the new key, then the catalogue
 * does, and then every manifest is re-wrapped; whatever was sealed for a key is openable by both all the while.
 */
export function rotateKeyHandler(context: WorkerContext): Handler {
  return { ...handlerDefaults(context), perform: (run) => rotateKey(context, run) }
}

async function rotateKey(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { database } = context
  const vaultId = run.job.vaultId ?? ''
  const before = await vaultOf(database, vaultId)
  const storage = storageOf(context, before)
  await checkVault(storage, { vaultId, recipient: before.recipient })
  await changeKey(context, run, { storage, vault: before })
  const vault = await vaultOf(database, vaultId)
  await refreshSelfRestore(storage)
  const { rewrapped, damaged } = await run.subTask('Wrap the new key around every manifest', () =>
    rewrapAll(context, run, { storage, vault }),
  )
  run.note('Manifests re-wrapped', String(rewrapped))
  run.note('Sealed from now on for', vault.recipient)
  if (vault.recoveryKeyExportedAt === null) {
    run.warn('The new recovery key has not been exported yet: do it now, with exportRecoveryKey.')
  }
  for (const sentence of damaged) run.warn(sentence)
  return { kind: 'completed', record: (tx) => forgetUnusedKeys(tx, vaultId) }
}

/** Makes the key that is to come the vault's own; does nothing when an earlier attempt has done it. */
async function changeKey(
  context: WorkerContext,
  run: JobRun,
  { storage, vault }: { storage: Storage; vault: Vault },
): Promise<void> {
  const { database, secrets } = context
  const others = await findOtherKeys(database, vault.id)
  const next = others.find(({ state }) => state === 'NEXT')
  if (!next) return
  const [from, to] = [vault.recipient, next.recipient]
  const header = await readVaultHeader(storage)
  if (header && header.recipient !== from && header.recipient !== to) throw rotatedElsewhere(storage, header)
  // Also those that the catalogue has forgotten: something that it does not know may be sealed for them.
  const present = secrets.open(vault.sealedIdentity)
  const kept = header?.recipient === from ? await keptKeys(run, { storage, header, identity: present }) : []
  const known = [vault, ...others.filter((key) => key !== next)].map(({ recipient, sealedIdentity }) => ({
    recipient,
    identity: secrets.open(sealedIdentity),
  }))
  const former = [...new Map([...kept, ...known].map((key) => [key.recipient, key])).values()]
  await run.subTask('Keep the former keys in the vault', async () => {
    await run.confirm()
    await writeKeyring(storage, former, [to, from])
  })
  await run.subTask('Make the new key the vault’s own', async () => {
    await run.confirm()
    await switchVaultKey(storage, { from, to })
    await recordNewKey(database, { vaultId: vault.id, from, to, jobId: run.job.id, now: await context.dueNow() })
  })
}

/** What is in the keyring now is sealed for that other key, which alone may be what an operator has: nothing of it is replaced. */
function rotatedElsewhere({ description }: Storage, { recipient }: VaultHeader): WorkFailed {
  const message = `The ${description} is sealed for ${recipient}, by a rotation that the catalogue knows nothing of.`
  const advice = "Run importVault first, with the vault's own name and place and its present recovery key."
  return new WorkFailed('WRONG_KEY', `${message} ${advice}`)
}

async function keptKeys(
  run: JobRun,
  { storage, header, identity }: { storage: Storage; header: VaultHeader; identity: string },
): Promise<FormerKey[]> {
  const { keys, lost } = await readKeyring(storage, header, identity)
  for (const { message } of lost) {
    run.warn(`A former key that lies in the vault cannot be read, and is not sealed for the new one: ${message}`)
  }
  return keys
}

async function rewrapAll(
  context: WorkerContext,
  run: JobRun,
  { storage, vault }: { storage: Storage; vault: Vault },
): Promise<{ rewrapped: number; damaged: string[] }> {
  const { database } = context
  const identities = await identitiesOf(context, vault)
  const damaged: string[] = []
  let rewrapped = 0
  const query = { vaultId: vault.id, recipient: vault.recipient, limit: pageSize }
  let page = await findPointsToRewrap(database, { ...query, after: null })
  for (; page.length > 0; page = await findPointsToRewrap(database, { ...query, after: page.at(-1)?.id ?? null })) {
    for (const point of page) {
      await run.confirm()
      const damage = await rewrapOrDamage(context, { run, storage, vault, point, identities })
      if (damage.length > 0) {
        await run.confirm()
        damaged.push(...damage)
        const found = {
          recoveryPointId: point.id,
          damage,
          level: 'READ_BACK',
          jobId: run.job.id,
          now: context.now(),
        } as const
        await database.transaction((tx) => recountOverdue(tx, point.instanceId, () => recordDamage(tx, found)))
      } else rewrapped += 1
      run.progress({ rowsDone: rewrapped + damaged.length })
    }
  }
  return { rewrapped, damaged }
}

/**
 * Answers what is damaged, where the manifest is none that may lie there: not by the row as it was read, which another worker
 * or an import may have changed since, and not below an empty mount point.
 */
async function rewrapOrDamage(context: WorkerContext, rewrapping: Rewrapping): Promise<string[]> {
  const { vault, point } = rewrapping
  const damage: string[] = []
  await damageIn(damage, () => rewrapOne(context, rewrapping))
  if (damage.length === 0) return []
  await certainOf(context, vault, damage)
  const [now] = await findRecoveryPoints(context.database, [point.id])
  if (!now || now.sweepStartedAt !== null) return []
  const isChanged = manifestDigestsOf(now).join() !== manifestDigestsOf(point).join()
  return isChanged ? rewrapOrDamage(context, { ...rewrapping, point: now }) : damage
}

interface Rewrapping {
  run: JobRun
  storage: Storage
  vault: Vault
  point: RecoveryPoint
  identities: string[]
}

/** Who has the key that the artifacts are sealed for can read them anyway: it opens the manifest as before. */
async function rewrapOne(
  { database }: WorkerContext,
  { run, storage, vault, point, identities }: Rewrapping,
): Promise<void> {
  const recoveryPointId = point.id
  const storedSha256 = await rewrapPoint(storage, point.prefix, {
    identities,
    recipients: [...new Set([vault.recipient, point.recipient ?? vault.recipient])],
    ...headerMarkOf(point),
    onHeaderDamage: (sentence) => run.warn(`${sentence} It was written anew.`),
    announce: async (digests) => {
      if (await announceManifest(database, { recoveryPointId, ...digests })) return
      throw new PointGone()
    },
  }).catch((cause) => {
    if (cause instanceof PointGone) return undefined
    throw cause
  })
  if (storedSha256 === undefined) return
  await recordRewrap(database, { recoveryPointId, storedSha256, recipient: vault.recipient })
}

/** The point is being removed: nothing is to be written beside it. */
class PointGone extends Error {}
