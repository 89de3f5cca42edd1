import type { JobRun, Outcome } from '../job/handler.ts'
import { recordInspection } from '../server/record-inspection.ts'
import { StorageError } from '../storage/storage-error.ts'
import { checkVault, isVault } from '../storage/vault-layout.ts'
import type { Vault } from '../vault/vault.ts'
import { checkServer } from './check-server.ts'
import type { WorkerContext } from './context.ts'
import { serverAndVaultOf, storageOf } from './subjects.ts'
import { createNote, occupied } from './vault-place.ts'

/** Checks a server and a vault as a configuration does, and sets nothing up: for a job without a backup instance. */
export async function validate(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { server, vault } = await serverAndVaultOf(context, run.job)
  await run.subTask('Check the vault', () => checkPlace(context, run, vault))
  const { versionNumber } = await checkServer(context, run, server)
  return {
    kind: 'completed',
    record: async (tx) => {
      await recordInspection(tx, { serverId: server.id, versionNumber, now: await context.dueNow(tx) })
    },
  }
}

/** A place that is there is tried for real; what it holds afterwards is what it held before. */
async function checkPlace(context: WorkerContext, run: JobRun, vault: Vault): Promise<void> {
  const storage = storageOf(context, vault)
  const mark = { vaultId: vault.id, recipient: vault.recipient }
  const isSetUp = vault.capabilities !== null
  if (isSetUp) await checkVault(storage, mark)
  else {
    const found = await isVault(storage, mark).catch((cause) => (isMissing(cause, vault) ? undefined : occupied(cause)))
    if (found !== true) run.note('Vault', 'its place is not set up yet: configureProtection does that')
    if (found === undefined) return
  }
  run.note('Create without overwriting', createNote(await storage.probe()))
}

/** A directory is made when protection is first configured: until then there need not be one. */
function isMissing(cause: unknown, { kind }: Vault): boolean {
  return kind === 'DIRECTORY' && cause instanceof StorageError && cause.code === 'STORAGE_UNREACHABLE'
}
