import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { type FileSet, mostOccupants, type SetWriter } from '../file-set.ts'
import { checkKey } from '../key.ts'
import { StorageError, takenError } from '../storage-error.ts'
import type { Bucket } from './bucket.ts'
import { listPages } from './list.ts'
import { headObject } from './look.ts'
import { readObject } from './read.ts'
import { sweepUploads } from './sweep.ts'
import { writeObject } from './write/write.ts'

/** How long is spent on leaving nothing behind, ms: whoever cancels waits, and the next attempt removes the rest. */
const discardMs = 8_000

/**
 * Keeps a set in a folder of a bucket, ending in "/": every file is written where it belongs, the last one marks the set
 * as complete. Who wrote an object is kept with it, so that leftovers are told from what another has put there.
 */
export function bucketSet(bucket: Bucket, folder: string, { id, attempt }: SetWriter): FileSet {
  const writer = `${id}.${attempt}`
  const written = new Set<string>()
  let isCommitted = false
  const write: FileSet['write'] = async (name, fill, signal) => {
    checkKey(folder + name)
    written.add(folder + name)
    try {
      await writeObject(bucket, folder + name, fill, signal, writer)
    } catch (error) {
      const isTaken = error instanceof StorageError && error.code === 'STORAGE_OBJECT_EXISTS'
      if (!isTaken || !(await removeEarlierOne(bucket, folder + name, { id, attempt }))) throw error
      const message = `An earlier attempt that had lost its job wrote ${folder}${name} late; it was removed again.`
      throw new StorageError('STORAGE_FAILED', folder + name, message)
    }
  }
  return {
    description: `${folder.slice(0, -1)} in ${bucket.description}`,
    occupants: () => occupantsOf(bucket, folder),
    async read(name) {
      if (!(await headObject(bucket, folder + name))) return undefined
      return await text(await readObject(bucket, folder + name, {}))
    },
    async removeEarlier() {
      if (attempt === 1) return
      // First the uploads: none may become an object after the objects are gone. They name no writer, but the folder was
      // empty when this id began to write into it.
      await sweepUploads(bucket, bucket.objectKey(folder), isInFolder)
      for await (const page of listPages(bucket, bucket.objectKey(folder))) {
        for (const { key } of page) await removeEarlierOne(bucket, key.slice(bucket.prefix.length), { id, attempt })
      }
    },
    write,
    async commit(name, content, { signal, confirm }) {
      const fill: Parameters<FileSet['write']>[1] = async (sink) => {
        await confirm()
        const strangers = (await occupantsOf(bucket, folder, Infinity)).filter((found) => !written.has(folder + found))
        if (strangers.length > 0) throw takenError(`${folder}${strangers[0]}`)
        await pipeline(Readable.from([content]), sink)
      }
      await write(name, fill, signal)
      isCommitted = true
    },
    async discard() {
      if (isCommitted) return
      const deadline = AbortSignal.timeout(discardMs)
      for (const key of written) {
        const head = await headObject(bucket, key, deadline)
        if (head?.writeId?.startsWith(`${writer}.`)) await removeKey(bucket, key, deadline)
      }
    },
  }
}

/** Removes an object that an earlier attempt of the same id wrote; answers whether it was one. */
async function removeEarlierOne(bucket: Bucket, key: string, { id, attempt }: SetWriter): Promise<boolean> {
  const [writerId, writerAttempt] = (await headObject(bucket, key))?.writeId?.split('.') ?? []
  if (writerId !== id || !(Number(writerAttempt) < attempt)) return false
  await removeKey(bucket, key)
  return true
}

async function removeKey(bucket: Bucket, key: string, signal?: AbortSignal): Promise<void> {
  const command = new DeleteObjectCommand({ Bucket: bucket.name, Key: bucket.objectKey(key) })
  await bucket.guarded(key, bucket.client.send(command, signal && { abortSignal: signal }), signal)
}

async function occupantsOf(bucket: Bucket, folder: string, most = mostOccupants): Promise<string[]> {
  const objectPrefix = bucket.objectKey(folder)
  const names: string[] = []
  for await (const page of listPages(bucket, objectPrefix)) {
    names.push(...page.map(({ key }) => key.slice(objectPrefix.length)).filter(isInFolder))
    if (names.length >= most) break
  }
  return names.slice(0, most)
}

/** Folders below are sets of their own; an object named as the folder is how some programs show an empty one. */
function isInFolder(name: string): boolean {
  return name !== '' && !name.includes('/')
}
