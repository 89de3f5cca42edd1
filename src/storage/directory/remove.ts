import { lstat, rm, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { guarded, pathInside, syncFolder, unlessMissing } from './place.ts'

/** Removes one file durably; one that is not there is gone already. */
export async function removeFile(root: string, key: string): Promise<void> {
  const path = await pathInside(root, key)
  if (!path) return
  await guarded(key, unlessMissing(unlink(path)))
  await guarded(key, unlessMissing(syncFolder(dirname(path))))
}

/** Removes a folder with all that is in it, half-written files and foreign ones too. A link is removed, not followed. */
export async function removeFolder(root: string, prefix: string): Promise<void> {
  const key = prefix.slice(0, -1)
  const path = await pathInside(root, key)
  if (!path || !(await guarded(key, unlessMissing(lstat(path))))) return
  await guarded(key, rm(path, { recursive: true, force: true }))
  await guarded(key, unlessMissing(syncFolder(dirname(path))))
}
