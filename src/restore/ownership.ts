import { InvalidInput } from '../refusal.ts'
import type { Ownership } from './restore.ts'

/** Who is to own what is restored; refuses a role where none is meant, and the lack of one where one is. */
export function ownershipOf(kind: Ownership['kind'], role: string | null): Ownership {
  if (kind !== 'TO_ROLE') {
    if (role === null) return { kind }
    throw new InvalidInput('ownerRole', `With ownership ${kind} nothing is given to one role.`, [
      'Choose ownership TO_ROLE, or leave the role out.',
    ])
  }
  if (role === null) {
    throw new InvalidInput('ownerRole', 'With ownership TO_ROLE the role has to be named.', [
      'Name a role that exists on the target server.',
    ])
  }
  const bytes = Buffer.byteLength(role)
  if (bytes < 1 || bytes > 63 || role.includes('\0') || !role.isWellFormed()) {
    throw new InvalidInput('ownerRole', `The name of a role has 1 to 63 bytes; this one has ${bytes}.`)
  }
  return { kind, role }
}
