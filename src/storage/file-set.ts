import type { Writable } from 'node:stream'

/** Who writes a set: each attempt of a job, told apart from every other and from everybody else. */
export interface SetWriter {
  /** A uuid. */
  id: string
  /** Counts from 1: attempts of the same id come one after the other, though an earlier one may wake up late. */
  attempt: number
}

/**
 * The files of one folder that belong together: in the end all of them are there, or none. Names are keys without "/".
 * Nothing is ever overwritten, and nothing removed that this writer's id did not write. Methods throw a StorageError;
 * STORAGE_OBJECT_EXISTS is for what another has put there.
 */
export interface FileSet {
  /** Where the folder is, in words for an operator; holds no secret. */
  readonly description: string
  /** The first five names of what lies in the folder; none when it is empty or not there. Changes nothing. */
  occupants(): Promise<string[]>
  /** A small file of the folder as text; undefined only when it is certainly not there. */
  read(name: string): Promise<string | undefined>
  /** Removes what earlier attempts of the writer left; later ones lose nothing by it. */
  removeEarlier(): Promise<void>
  /** Writes one file; several may be written at once. It may not be seen before the commit. */
  write(name: string, fill: (sink: Writable) => Promise<void>, signal: AbortSignal): Promise<void>
  /**
   * Writes the last file, which marks the set as complete, and lets all of it be seen. `confirm` is asked just before:
   * when it throws, or something else has come to lie in the folder, nothing is committed.
   */
  commit(name: string, text: string, options: { signal: AbortSignal; confirm: () => Promise<void> }): Promise<void>
  /** Removes what this attempt has written, if it was not committed. */
  discard(): Promise<void>
}

/** How many names of what lies in a folder are told. */
export const mostOccupants = 5
