import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FileSet } from '../../../storage/file-set.ts'
import { fillSink } from '../../../storage/fill.ts'
import { meter } from '../../../storage/meter.ts'
import { atTarget } from './at-target.ts'

/** A file of a set as the set's manifest tells of it. */
export interface WrittenFile {
  file: string
  sizeBytes: number
  /** In lower-case hex. */
  sha256: string
}

/**
 * Writes one file of a set and digests it on its way. What `fill` fails with is thrown as it is, what the place fails with
 * in the terms of a restore's target; either way only when `fill` has ended.
 */
export async function writeFile(
  set: FileSet,
  file: string,
  fill: (sink: Writable) => Promise<void>,
  signal: AbortSignal,
): Promise<WrittenFile> {
  const { stream, measure } = meter()
  let filling: Promise<void> = Promise.resolve()
  let failure: unknown
  const watched = (sink: Writable) => {
    filling = fill(sink).catch((cause) => {
      failure = cause
      throw cause
    })
    return filling
  }
  try {
    await atTarget(
      () => set.write(file, (sink) => fillSink(stream, watched, pipeline(stream, sink)), signal),
      (cause) => cause === failure,
    )
  } finally {
    await filling.catch(() => undefined)
  }
  const { bytes: sizeBytes, sha256 } = measure()
  return { file, sizeBytes, sha256 }
}

/** As writeFile, for a short text. */
export async function writeText(set: FileSet, file: string, text: string, signal: AbortSignal): Promise<WrittenFile> {
  return writeFile(set, file, (sink) => pipeline(Readable.from([text]), sink), signal)
}
