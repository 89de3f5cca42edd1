import { isAbsolute, resolve } from 'node:path'
import type { vaults } from '../database/tables/vault.ts'
import { InvalidInput, Refusal } from '../refusal.ts'

/** A place where recovery points are kept, and the keys they are sealed with. */
export type Vault = typeof vaults.$inferSelect

const asLong = 'Keep durations and schedule at least as they are'
const adviceFor = {
  deleteBackupInstance: 'Wait until the time of all of its recovery points is over; stopProtection stops its backups.',
  changePolicy: `${asLong}, by a policy that keeps recovery points as long and starts backups as often.`,
  revisePolicy: `${asLong}, or make another policy for backup instances of other vaults.`,
  setVaultReplica: 'Keep a replica that is as well protected, and its copies at least as long.',
}

/** The vault's immutability forbids what would remove recovery points before their time. */
export class ForbiddenByImmutability extends Refusal {
  readonly vaultId: string
  readonly rule: string

  /** `operation` is named as in the schema, `rule` is the sentence that says what is forbidden. */
  constructor(vault: Vault, operation: keyof typeof adviceFor, rule: string) {
    super(`Vault "${vault.name}" is immutable (${vault.immutability}), which forbids ${operation}: ${rule}`, [
      adviceFor[operation],
      vault.immutability === 'LOCKED'
        ? 'Locked immutability is never taken back.'
        : "Or set the vault's immutability to DISABLED first, by updateVaultSecurity.",
    ])
    this.vaultId = vault.id
    this.rule = rule
  }
}

/** A vault keeps its recovery points in that place already, in one around it or in one within it. */
export class LocationTaken extends Refusal {
  readonly vaultId: string

  /** Both places in words. */
  constructor(place: string, existing: Vault, existingPlace: string) {
    super(`Vault "${existing.name}" keeps its recovery points in ${existingPlace}, so that ${place} is not free.`, [
      'Use that vault, or choose a place that lies neither in another vault nor around one.',
    ])
    this.vaultId = existing.id
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
