import { recordConfiguration, recordConfigurationFailure } from '../instance/record/record-configuration.ts'
import type { Handler, JobRun, Outcome } from '../job/handler.ts'
import { recordInspection } from '../server/record-inspection.ts'
import { initialiseVault } from '../storage/vault-layout.ts'
import { recordCapabilities } from '../vault/record-capabilities.ts'
import { checkServer } from './check-server.ts'
import { handlerDefaults, type WorkerContext } from './context.ts'
import { instanceOf, storageOf } from './subjects.ts'
import { validate } from './validate-for-backup.ts'
import { createNote, occupied } from './vault-place.ts'

/**
 * Checks a server and a vault before protection begins: everything a backup will need, tried for real. A job without a
 * backup instance only checks.
 */
export function configureProtectionHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => (run.job.instanceId === null ? validate(context, run) : configure(context, run)),
    recordFailure: async (tx, { instanceId }, error) => {
      if (instanceId !== null) await recordConfigurationFailure(tx, { instanceId, error, now: context.now() })
    },
  }
}

async function configure(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const { instance, server, vault } = await instanceOf(context, run.job)
  const capabilities = await run.subTask('Check the vault', async () => {
    const storage = storageOf(context, vault)
    await initialiseVault(storage, { vaultId: vault.id, recipient: vault.recipient, now: context.now() }).catch(
      occupied,
    )
    return await storage.probe()
  })
  run.note('Create without overwriting', createNote(capabilities))
  const { versionNumber } = await checkServer(context, run, server)
  return {
    kind: 'completed',
    record: async (tx) => {
      const now = await context.dueNow(tx)
      await recordCapabilities(tx, { vaultId: vault.id, capabilities })
      await recordInspection(tx, { serverId: server.id, versionNumber, now })
      await recordConfiguration(tx, { instanceId: instance.id, now })
    },
  }
}
