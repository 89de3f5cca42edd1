import { isAbsolute, resolve } from 'node:path'
import type { vaults } from '../database/tables/vault.ts'
import { InvalidInput } from '../refusal.ts'

/** A place where recovery points are kept, and the keys they are sealed with. */
export type Vault = typeof vaults.$inferSelect

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
