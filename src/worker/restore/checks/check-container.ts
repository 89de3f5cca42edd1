import type { ClaimedJob } from '../../../job/handler.ts'
import type { FilesRequest } from '../../../restore/restore.ts'
import type { RestoreCheck } from '../../../restore/validation.ts'
import { StorageError } from '../../../storage/storage-error.ts'
import { cureSentence } from '../../../storage-account/network-rules.ts'
import type { Vault } from '../../../vault/vault.ts'
import type { WorkerContext } from '../../context.ts'
import { WorkFailed } from '../../failure.ts'
import { storageOf } from '../../subjects.ts'
import { type FilesPlace, filesPlaceOf, probeAccount, violationsAt } from '../files/files-place.ts'
import { passed, problem, problemOf, skipped } from './check.ts'

/** Looks for everything about a container that would make a restore into it fail; it holds afterwards what it held before. */
export async function checkContainerTarget(
  context: WorkerContext,
  { job, request, vault }: { job: ClaimedJob; request: FilesRequest; vault: Vault },
): Promise<{ checks: RestoreCheck[]; bytesFree: number | null }> {
  const place = await filesPlaceOf(context, job, request).catch((cause) => {
    if (cause instanceof WorkFailed && cause.code === 'GONE') return undefined
    throw cause
  })
  if (!place) {
    const gone = problem('TARGET_PLACE', 'GONE', 'container', 'The container, or its storage account, was deleted.')
    return { checks: [gone], bytesFree: null }
  }
  const rules = checkRules(place, vault)
  if (rules.some(({ status }) => status === 'PROBLEM')) {
    // Nothing is written, not even to try it, where nothing may be.
    const untried = skipped('WRITE_PROBE', place.name, 'It was not tried, for the vault may not write there.')
    return { checks: [...rules, untried, await checkFiles(place)], bytesFree: null }
  }
  const probe = await tryWriting(context, place)
  const bytesFree = place.container ? await freeBytesOf(context, place.container.account) : null
  return { checks: [...rules, probe, await checkFiles(place)], bytesFree }
}

function checkRules(place: FilesPlace, vault: Vault): RestoreCheck[] {
  const violations = violationsAt(place, vault)
  if (violations.length === 0) {
    return [passed('NETWORK_RULES', place.name, `Vault "${vault.name}" may write into the storage account.`)]
  }
  return violations.map((violation) =>
    problem('NETWORK_RULES', 'NETWORK_RULE_FORBIDS', place.name, violation.message, [cureSentence(violation, vault)]),
  )
}

async function tryWriting(context: WorkerContext, place: FilesPlace): Promise<RestoreCheck> {
  try {
    await probeAccount(context, place)
    return passed('WRITE_PROBE', place.name, 'A file was written to the storage account, read back and removed.')
  } catch (cause) {
    return problemOf('WRITE_PROBE', place.name, cause)
  }
}

async function checkFiles({ set, name }: FilesPlace): Promise<RestoreCheck> {
  try {
    const occupants = await set.occupants()
    if (occupants.length === 0) return passed('EXISTING_FILES', name, 'It is empty, or not there yet.')
    const message = `${name} holds other files already, such as ${occupants.join(', ')}.`
    return problem('EXISTING_FILES', 'TARGET_NOT_EMPTY', name, message)
  } catch (cause) {
    if (cause instanceof StorageError && cause.code === 'STORAGE_OBJECT_EXISTS') {
      return problem('EXISTING_FILES', 'TARGET_NOT_EMPTY', name, cause.message)
    }
    return problemOf('EXISTING_FILES', name, cause)
  }
}

async function freeBytesOf(
  context: WorkerContext,
  account: NonNullable<FilesPlace['container']>['account'],
): Promise<number | null> {
  try {
    return (await storageOf(context, account).freeBytes()) ?? null
  } catch {
    // Why it cannot be asked is what the write probe says.
    return null
  }
}
