import type { Storage } from './contract.ts'
import { headerKey, manifestKey } from './vault-layout.ts'

/** A folder of a backup attempt as it lies in the vault, or a file that lies where only such folders should be. */
export interface PointFolder {
  /** The folder, ending in "/"; of a stray file its key. */
  prefix: string
  objectCount: number
  sizeBytes: number
  /** Whether it has its header and its manifest: without them it is no point. */
  isWhole: boolean
}

/** Where all points of a backup instance lie. */
export function instancePrefix(instanceId: string): string {
  return `points/${instanceId}/`
}

/** Everything that lies below an instance's folder, by the prefix; throws when any of it cannot be listed. */
export async function listPointFolders(storage: Storage, instanceId: string): Promise<Map<string, PointFolder>> {
  const root = instancePrefix(instanceId)
  const folders = new Map<string, PointFolder & { marks: number }>()
  for await (const { key, sizeBytes } of storage.list(root)) {
    const end = key.indexOf('/', root.length)
    const prefix = end === -1 ? key : key.slice(0, end + 1)
    const folder = folders.get(prefix) ?? { prefix, objectCount: 0, sizeBytes: 0, isWhole: false, marks: 0 }
    folder.objectCount += 1
    folder.sizeBytes += sizeBytes
    if (key === headerKey(prefix) || key === manifestKey(prefix)) folder.marks += 1
    folder.isWhole = folder.marks === 2
    folders.set(prefix, folder)
  }
  return new Map([...folders].map(([prefix, { marks: _, ...folder }]) => [prefix, folder]))
}

/** Whether nothing is left below a folder; throws when that cannot be told. */
export async function isEmpty(storage: Storage, prefix: string): Promise<boolean> {
  for await (const _ of storage.list(prefix)) return false
  return true
}

/** One sentence for each of a point's header and manifest that is certainly not there. */
export async function missingMarks(storage: Storage, prefix: string): Promise<string[]> {
  const missing: string[] = []
  for (const key of [headerKey(prefix), manifestKey(prefix)]) {
    if ((await storage.size(key)) === undefined) missing.push(`${key} is missing from the vault.`)
  }
  return missing
}
