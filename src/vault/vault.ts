import { isAbsolute, resolve } from 'node:path'
import type { vaults } from '../database/tables/vault.ts'
import { InvalidInput, Refusal } from '../refusal.ts'

/** A place where recovery points are kept, and the keys they are sealed with. */
export type Vault = typeof vaults.$inferSelect

/** The vault's immutability forbids what would remove recovery points before their time. */
export class ForbiddenByImmutability extends Refusal {
  readonly vaultId: string
  readonly rule: string

  /** `operation` is named as in the schema, `rule` is the sentence that says what is forbidden. */
  constructor(vault: Vault, operation: string, rule: string) {
    super(`Vault "${vault.name}" is immutable (${vault.immutability}), which forbids ${operation}: ${rule}`, [
      vault.immutability === 'LOCKED'
        ? 'Locked immutability is never taken back: wait until the recovery points have expired, or keep them longer.'
        : "Keep the recovery points, or set the vault's immutability to DISABLED first.",
    ])
    this.vaultId = vault.id
    this.rule = rule
  }
}

/** Whether nothing may remove the vault's recovery points before their time. */
export function isImmutable({ immutability }: Pick<Vault, 'immutability'>): boolean {
  return immutability !== 'DISABLED'
}

/** Refuses anything but an absolute path below the root; answers its one normal spelling. */
export function checkDirectory(field: string, path: string): string {
  if (!isAbsolute(path) || resolve(path) === '/' || path.length > 1000 || !isPlainText(path)) {
    throw new InvalidInput(field, `"${path.slice(0, 200).toWellFormed()}" is not an absolute path of a directory.`, [
      'Give an absolute path on the machine that runs the worker, such as /backups/holdfast.',
    ])
  }
  return resolve(path)
}

function isPlainText(text: string): boolean {
  return text.isWellFormed() && !/\p{Cc}/u.test(text)
}
