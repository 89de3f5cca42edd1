import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { abortError, unlessAborted } from '../abort.ts'
import { type FileSet, mostOccupants, type SetWriter } from '../file-set.ts'
import { fillSink } from '../fill.ts'
import { checkKey } from '../key.ts'
import { StorageError } from '../storage-error.ts'
import { guarded, storageError, syncFolder, systemCode, unlessMissing } from './place.ts'

/**
 * Keeps a set in a directory that is absent or empty: everything is written into a folder beside it, which gets the
 * directory's name in the end. `prepare` makes the folders above where they may be missing.
 */
export function directorySet(
  path: string,
  { id, attempt }: SetWriter,
  prepare: () => Promise<unknown> = async () => {},
): FileSet {
  const directory = resolve(path)
  const beside = besideOf(directory, { id, attempt })
  let made: Promise<void> | undefined
  const make = async () => {
    await prepare()
    await guarded(directory, mkdir(beside, { mode: 0o700 }))
  }
  const write: FileSet['write'] = async (name, fill, signal) => {
    checkKey(name)
    made ??= make()
    await made
    if (signal.aborted) throw abortError(signal)
    const sink = createWriteStream(join(beside, name), { flags: 'wx', mode: 0o600, flush: true })
    const flows = finished(sink).catch((error) => {
      throw systemCode(error) === undefined ? error : storageError(directory, error)
    })
    await unlessAborted(fillSink(sink, fill, flows), sink, signal)
  }
  return {
    description: `folder ${directory}`,
    occupants: () => occupantsOf(directory),
    read: (name) => guarded(directory, unlessMissing(readFile(join(directory, name), 'utf8'))),
    async removeEarlier() {
      for (let earlier = 1; earlier < attempt; earlier++) {
        await guarded(directory, rm(besideOf(directory, { id, attempt: earlier }), { recursive: true, force: true }))
      }
    },
    write,
    async commit(name, text, { signal, confirm }) {
      await write(name, (sink) => pipeline(Readable.from([text]), sink), signal)
      await guarded(directory, syncFolder(beside))
      await confirm()
      const occupants = await occupantsOf(directory)
      if (occupants.length > 0) throw occupiedError(directory, occupants)
      // Renaming onto an empty directory replaces it; onto one that was filled meanwhile it fails.
      await rename(beside, directory).catch((error) => {
        const isTaken = ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(systemCode(error) ?? '')
        throw isTaken ? occupiedError(directory, []) : storageError(directory, error)
      })
      await syncFolder(dirname(directory)).catch(async (error) => {
        // The name may not outlive a power cut: better none than one that was reported as failed.
        await rename(directory, beside).catch(() => undefined)
        throw storageError(directory, error)
      })
    },
    async discard() {
      // Whatever is still being made or written: what comes after the removal would stay.
      await made?.catch(() => undefined)
      await guarded(directory, rm(beside, { recursive: true, force: true }))
    },
  }
}

/** The folder beside a directory that an attempt writes into: each has its own, so that a late one harms no other. */
export function besideOf(directory: string, { id, attempt }: SetWriter): string {
  return join(dirname(directory), `.${basename(directory)}.restoring-${id}.${attempt}`)
}

async function occupantsOf(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted().slice(0, mostOccupants)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    if (systemCode(error) === 'ENOTDIR') throw occupiedError(directory, [])
    throw storageError(directory, error)
  }
}

function occupiedError(directory: string, occupants: string[]): StorageError {
  const what =
    occupants.length > 0 ? `holds other files: ${occupants.join(', ')}` : 'is in the way, or holds other files'
  return new StorageError('STORAGE_OBJECT_EXISTS', directory, `${directory} ${what}.`)
}
