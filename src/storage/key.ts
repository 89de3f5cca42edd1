import { StorageError } from './storage-error.ts'

const longestPart = 200
const longestKey = 900

/**
 * Refuses (STORAGE_KEY_INVALID) whatever is not a key: parts of letters, digits, ".", "_" and "-" that begin with a
 * letter, digit or "_", joined by "/". So no key can leave the vault, hide in it, or be taken for an option.
 */
export function checkKey(key: string): void {
  if (key.length > longestKey || !key.split('/').every(isKeyPart))
    throw new StorageError('STORAGE_KEY_INVALID', key, `"${key}" is not a key of a stored object.`)
}

/** Refuses (STORAGE_KEY_INVALID) whatever is not a folder prefix: "" or a key followed by "/". */
export function checkPrefix(prefix: string): void {
  if (prefix === '') return
  if (!prefix.endsWith('/'))
    throw new StorageError('STORAGE_KEY_INVALID', prefix, `"${prefix}" is not a folder: it does not end in "/".`)
  checkKey(prefix.slice(0, -1))
}

/** Whether a name can be one part of a key. */
export function isKeyPart(name: string): boolean {
  return name.length <= longestPart && /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name)
}
