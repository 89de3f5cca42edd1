import type { Readable, Writable } from 'node:stream'

/** One stored object, as a listing sees it. */
export interface StoredObject {
  key: string
  sizeBytes: number
}

/** What a place can do, as its last probe has shown. */
export interface StorageCapabilities {
  /** Whether the place itself lets only the first of two writers of one key succeed; else only a look before keeps them apart. */
  conditionalCreate: boolean
  /** The largest object that it can keep, in bytes; null where only its space sets an end. */
  largestObjectBytes: number | null
}

/**
 * A place that keeps bytes under keys. Keys are relative, made of ids and fixed names, parts joined by "/".
 * Every method throws a StorageError; an error is never answered as "nothing there".
 */
export interface Storage {
  /** Where it is, in words for an operator; holds no secret. */
  readonly description: string
  /** Makes the place itself (the folder, when its parent is there). Only setting up a vault asks for it. */
  prepare(): Promise<void>
  /**
   * Stores what `fill` writes under a key that does not exist yet.
   * The object is there, whole and durable, when this resolves; nothing is there when `fill` or the signal fails it.
   */
  write(key: string, fill: (sink: Writable) => Promise<void>, options?: { signal?: AbortSignal }): Promise<void>
  /**
   * Puts other bytes in the place of an object that is there, all at once: a reader gets the old ones or the new ones, whole,
   * and after a failure either of them. Only for what is small and means the same. STORAGE_OBJECT_MISSING when it is not there.
   */
  replace(key: string, bytes: Buffer): Promise<void>
  /** Opens an object, or the part of it in [start, end). */
  read(key: string, options?: { start?: number; end?: number; signal?: AbortSignal }): Promise<Readable>
  /** The object's size in bytes; undefined only when it is certainly not there. */
  size(key: string): Promise<number | undefined>
  /** Every committed object whose key starts with the prefix (a folder, ending in "/", or ""), in key order. */
  list(prefix: string): AsyncIterable<StoredObject>
  /** Removes one object; resolves when it is gone, also when it was not there. */
  remove(key: string): Promise<void>
  /** Removes everything below a folder prefix, half-written leftovers too; resolves when all is gone. */
  removeAll(prefix: string): Promise<void>
  /** Writes, reads back and removes a small object: whether this place can be used at all right now, and what it can do. */
  probe(): Promise<StorageCapabilities>
  /** Bytes that can still be written, where the place can tell. */
  freeBytes(): Promise<number | undefined>
}
