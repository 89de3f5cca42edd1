import type { FilesRequest } from '../../../restore/restore.ts'
import { directorySet } from '../../../storage/directory/file-set.ts'
import type { FileSet, SetWriter } from '../../../storage/file-set.ts'
import { openFileSet } from '../../../storage/open-file-set.ts'
import {
  cureSentence,
  type NetworkRuleViolation,
  networkRuleViolations,
} from '../../../storage-account/network-rules.ts'
import { recordAccountCapabilities } from '../../../storage-account/record-capabilities.ts'
import type { ContainerContext } from '../../../storage-account/storage-account.ts'
import type { Vault } from '../../../vault/vault.ts'
import type { WorkerContext } from '../../context.ts'
import { WorkFailed } from '../../failure.ts'
import { containerOf, openLocation, storageOf } from '../../subjects.ts'

/** Where the files of a restore go, as it is now; nothing is touched until the set is used. */
export interface FilesPlace {
  set: FileSet
  /** In words, for reports: a path, or a folder and where it is. */
  name: string
  /** Null for a directory that belongs to no storage account. */
  container: ContainerContext | null
}

/** The place of a request, for one attempt of a job; fails with GONE when its container was deleted meanwhile. */
export async function filesPlaceOf(
  context: WorkerContext,
  { id, attempt }: SetWriter,
  { target }: FilesRequest,
): Promise<FilesPlace> {
  const writer = { id, attempt }
  if (target.kind === 'DIRECTORY') {
    return { set: directorySet(target.path, writer), name: target.path, container: null }
  }
  const container = await containerOf(context, target.containerId)
  const folder = `${container.container.name}/${target.folder}`
  const set = openFileSet(openLocation(context, container.account.location), folder, writer)
  return { set, name: `${folder} of storage account "${container.account.name}"`, container }
}

/** Every network rule that keeps the vault from writing there now; empty for a directory, which has none. */
export function violationsAt({ container }: FilesPlace, vault: Vault): NetworkRuleViolation[] {
  if (!container) return []
  const { account, resourceInstanceIds } = container
  return networkRuleViolations({ ...account, resourceInstanceIds }, vault)
}

/** Fails with NETWORK_RULE_FORBIDS, naming each rule and its cure, when the account's rules do not let the vault write. */
export function refuseForbidden(place: FilesPlace, vault: Vault): void {
  const violations = violationsAt(place, vault)
  if (violations.length === 0) return
  const lines = violations.map((violation) => `${violation.message} ${cureSentence(violation, vault)}`)
  throw new WorkFailed('NETWORK_RULE_FORBIDS', lines.join('\n'))
}

/**
 * Writes, reads back and removes a small file in the place of the account, and writes down what its storage can do. A
 * directory is made only until something was written there once: after that a missing one is a disk that is not mounted.
 */
export async function probeAccount(context: WorkerContext, { container }: FilesPlace): Promise<void> {
  if (!container) return
  const { account } = container
  const storage = storageOf(context, account)
  if (account.capabilities === null) await storage.prepare()
  const capabilities = await storage.probe()
  await recordAccountCapabilities(context.database, { storageAccountId: account.id, capabilities })
}
