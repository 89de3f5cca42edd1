import { chooseDumpTools } from '../engine/choose-tools.ts'
import { findTools } from '../engine/find-tools.ts'
import { inspectServer } from '../engine/inspect.ts'
import { recordConfiguration, recordConfigurationFailure } from '../instance/record/record-configuration.ts'
import type { Handler, JobRun, Outcome } from '../job/handler.ts'
import { recordInspection } from '../server/record-inspection.ts'
import type { StorageCapabilities } from '../storage/contract.ts'
import { StorageError } from '../storage/storage-error.ts'
import { initialiseVault } from '../storage/vault-layout.ts'
import { recordCapabilities } from '../vault/record-capabilities.ts'
import { handlerDefaults, type WorkerContext } from './context.ts'
import { WorkFailed } from './failure.ts'
import { addressOf, instanceOf, storageOf } from './subjects.ts'
import { refuseUnreadable } from './unreadable.ts'

/** Checks a server and a vault before protection begins: everything a backup will need, tried for real. */
export function configureProtectionHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => configure(context, run),
    recordFailure: (tx, job, error) =>
      recordConfigurationFailure(tx, { instanceId: job.instanceId ?? '', error, now: context.now() }),
  }
}

async function configure(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { signal } = run
  const { instance, server, vault } = await instanceOf(context, run.job)
  const capabilities = await run.subTask('Check the vault', async () => {
    const storage = storageOf(context, vault)
    await initialiseVault(storage, { vaultId: vault.id, recipient: vault.recipient, now: context.now() }).catch(
      occupied,
    )
    return await storage.probe()
  })
  run.note('Create without overwriting', createNote(capabilities))
  const report = await run.subTask('Inspect the server', () =>
    inspectServer(addressOf(server, context.secrets), { signal }),
  )
  run.note('Server', report.version)
  run.note('Databases', report.databases.map(({ name }) => JSON.stringify(name)).join(', '))
  await run.subTask('Check the rights to read everything', async () => refuseUnreadable(report))
  await run.subTask('Choose the PostgreSQL tools', async () => {
    const toolsets = await findTools({ extraDirectories: context.postgresDirectories })
    run.note('PostgreSQL tools', chooseDumpTools(toolsets, report.versionNumber).reason)
  })
  return {
    kind: 'completed',
    record: async (tx) => {
      const now = await context.dueNow(tx)
      await recordCapabilities(tx, { vaultId: vault.id, capabilities })
      await recordInspection(tx, { serverId: server.id, versionNumber: report.versionNumber, now })
      await recordConfiguration(tx, { instanceId: instance.id, now })
    },
  }
}

function occupied(cause: unknown): never {
  const isOccupied = cause instanceof StorageError && cause.code === 'STORAGE_OBJECT_EXISTS'
  throw isOccupied ? new WorkFailed('VAULT_OCCUPIED', cause.message) : cause
}

function createNote({ conditionalCreate }: StorageCapabilities): string {
  return conditionalCreate
    ? 'the storage itself refuses to overwrite'
    : 'the storage takes no condition for it: Holdfast looks first, and each attempt writes to a folder of its own'
}
