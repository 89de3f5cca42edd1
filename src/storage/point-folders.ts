import type { Storage } from './contract.ts'
import { headerKey, manifestKey } from './vault-layout.ts'

/** A folder of a backup attempt as it lies in the vault, or a file that lies where only such folders should be. */
export interface PointFolder {
  /** The folder, ending in "/"; of a stray file its key. */
  prefix: string
  objectCount: number
  sizeBytes: number
  /** Without its header: what a point counts as its stored bytes. */
  contentBytes: number
  /** Whether it has its header and its manifest: without them it is no point. */
  isWhole: boolean
}

const pointsPrefix = 'points/'

/** Where all points of a backup instance lie. */
export function instancePrefix(instanceId: string): string {
  return `${pointsPrefix}${instanceId}/`
}

/**
 * Everything that lies below an instance's folder, by the prefix; throws when any of it cannot be listed. `onFolder` is told
 * of each folder as it comes.
 */
export async function listPointFolders(
  storage: Storage,
  instanceId: string,
  { onFolder }: { onFolder?: () => void } = {},
): Promise<Map<string, PointFolder>> {
  return groupFolders(storage, instancePrefix(instanceId), onFolder)
}

/**
 * Everything that lies where points do, by the name of the folder above it, which is that of a backup instance, and then by
 * the prefix; throws when any of it cannot be listed.
 */
export async function listAllFolders(
  storage: Storage,
  { onFolder }: { onFolder?: () => void } = {},
): Promise<Map<string, PointFolder[]>> {
  const folders = await groupFolders(storage, pointsPrefix, onFolder)
  return Map.groupBy(folders.values(), ({ prefix }) => prefix.split('/')[1] ?? '')
}

/** Objects below a root by the folder of the attempt that they lie in. */
async function groupFolders(
  storage: Storage,
  root: string,
  onFolder: (() => void) | undefined,
): Promise<Map<string, PointFolder>> {
  const folders = new Map<string, PointFolder & { marks: number }>()
  for await (const { key, sizeBytes } of storage.list(root)) {
    const parts = key.split('/')
    const prefix = parts.length > 3 ? `${parts.slice(0, 3).join('/')}/` : key
    if (!folders.has(prefix)) onFolder?.()
    const folder = folders.get(prefix) ?? { prefix, ...nothing }
    folder.objectCount += 1
    folder.sizeBytes += sizeBytes
    if (key !== headerKey(prefix)) folder.contentBytes += sizeBytes
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

/** What a point is known to have in the vault: its artifacts and its manifest, without its header. */
export interface KnownPoint {
  prefix: string
  storedBytes: number
}

/** Whether a folder that was listed has all that its point is known to have. */
export function holdsAll(folder: PointFolder | undefined, { storedBytes }: KnownPoint): boolean {
  return folder?.isWhole === true && folder.contentBytes >= storedBytes
}

/** One sentence for each thing of a point that is certainly not there: its header, its manifest, bytes of its files. */
export async function lossesOf(storage: Storage, { prefix, storedBytes }: KnownPoint): Promise<string[]> {
  const losses: string[] = []
  for (const key of [headerKey(prefix), manifestKey(prefix)]) {
    if ((await storage.size(key)) === undefined) losses.push(`${key} is missing from the vault.`)
  }
  let heldBytes = 0
  for await (const { key, sizeBytes } of storage.list(prefix)) {
    if (key !== headerKey(prefix)) heldBytes += sizeBytes
  }
  if (heldBytes < storedBytes) losses.push(`${prefix} holds ${heldBytes} of ${storedBytes} bytes.`)
  return losses
}

const nothing = { objectCount: 0, sizeBytes: 0, contentBytes: 0, isWhole: false, marks: 0 }
