import type { Database } from '../database/connect.ts'
import type { AuditFacts } from '../database/tables/audit.ts'
import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import { InvalidInput, NotFound } from '../refusal.ts'
import { lockContainer } from '../storage-account/find.ts'
import { ForbiddenByNetworkRules, networkRuleViolations } from '../storage-account/network-rules.ts'
import { lockVault } from '../vault/find.ts'
import { requireFreePlace } from '../vault/location.ts'
import { checkDirectory } from '../vault/vault.ts'
import type { FilesTarget } from './restore.ts'

const longestFolder = 200

/** The target in its one normal spelling; refuses a path or folder that names no place. */
export function normalTarget(target: FilesTarget): FilesTarget {
  if (target.kind === 'DIRECTORY') return { ...target, path: checkDirectory('target.directory', target.path) }
  return { ...target, folder: checkFolder(target.folder) }
}

/**
 * Refuses a target that may not be written into: a container that is not there or whose account's rules forbid it
 * (ForbiddenByNetworkRules), a directory in a vault or storage account, whose rules it would get round. Answers what the
 * audit log says of it, and what no two restores at once have in common. Container and rules stay until the transaction ends.
 */
export async function checkFilesTarget(
  tx: Database,
  point: RecoveryPoint,
  target: FilesTarget,
): Promise<{ facts: AuditFacts; key: string }> {
  if (target.kind === 'DIRECTORY') {
    await requireFreePlace(tx, target)
    return { facts: { directory: target.path }, key: `directory:${target.path}` }
  }
  const { containerId, folder } = target
  const found = await lockContainer(tx, containerId)
  if (!found) throw new NotFound('storage container')
  const vault = await lockVault(tx, point.vaultId)
  if (!vault) throw new NotFound('vault')
  const { container, account, resourceInstanceIds } = found
  const violations = networkRuleViolations({ ...account, resourceInstanceIds }, vault)
  if (violations.length > 0) throw new ForbiddenByNetworkRules(account, vault, violations)
  return {
    facts: { storageAccount: account.name, container: container.name, folder },
    key: `container:${containerId}:${folder}`,
  }
}

function checkFolder(text: string): string {
  const folder = text.replace(/\/$/, '')
  const isFolder = folder.split('/').every((part) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(part))
  if (isFolder && folder.length <= longestFolder) return folder
  const shown = text.slice(0, 100).toWellFormed()
  throw new InvalidInput('target.container.folder', `"${shown}" is not a folder that a container can have.`, [
    `Give names of letters, digits, ".", "_" and "-" joined by "/", such as orders/2026-11-28, ${longestFolder} characters at most.`,
  ])
}
