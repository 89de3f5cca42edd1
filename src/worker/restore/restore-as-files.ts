import type { JobRun, Outcome } from '../../job/handler.ts'
import type { FilesRequest } from '../../restore/restore.ts'
import type { WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { openPoint } from '../point/read-point.ts'
import { pointOf } from '../subjects.ts'
import { atTarget } from './files/at-target.ts'
import { instructionsName } from './files/file-names.ts'
import { type FilesPlace, filesPlaceOf, refuseForbidden } from './files/files-place.ts'
import { restoreText } from './files/restore-text.ts'
import { ownManifest, reportOf, setManifestName, setManifestOf } from './files/set-manifest.ts'
import { writeDatabases } from './files/write-databases.ts'
import { writeText } from './files/write-file.ts'

/**
 * Writes a point's databases as files, with roles, instructions and manifest, into a directory or a folder of a container
 * that is absent or empty. All of it is there in the end, or nothing: the manifest, written last, marks a whole set. What
 * earlier attempts left has to be gone, and the checks before a restore have to have passed.
 */
export async function restoreAsFiles(context: WorkerContext, run: JobRun, request: FilesRequest): Promise<Outcome> {
  const { point, vault } = await pointOf(context, run.job)
  const place = await filesPlaceOf(context, run.job, request)
  refuseForbidden(place, vault)
  await refuseOccupied(place)
  const opened = await openPoint(context, { point, vault, signal: run.signal, onHeaderDamage: run.warn })
  try {
    const { manifest } = opened
    const { files, partTables, omitted } = await writeDatabases(context, run, {
      point: opened,
      request,
      set: place.set,
    })
    const text = restoreText(manifest, { request, files })
    const instructions = await writeText(place.set, instructionsName, text, run.signal)
    files.push({ ...instructions, kind: 'INSTRUCTIONS', database: null })
    const setManifest = setManifestOf(manifest, { request, job: run.job, files, partTables, omitted })
    const json = `${JSON.stringify(setManifest, null, 2)}\n`
    const confirm = () => run.confirm()
    await atTarget(() => place.set.commit(setManifestName, json, { signal: run.signal, confirm }))
    return { kind: 'completed', result: reportOf(place.name, setManifest, Buffer.byteLength(json)) }
  } catch (cause) {
    await place.set
      .discard()
      .catch((failure: Error) => run.warn(`What was written to ${place.name} could not be removed: ${failure.message}`))
    throw cause
  }
}

/**
 * The end of a restore whose earlier attempt completed its set, and was lost before it could say so; undefined when none
 * did.
 */
export async function completedBefore(
  context: WorkerContext,
  run: JobRun,
  request: FilesRequest,
): Promise<Outcome | undefined> {
  if (run.job.attempt === 1) return undefined
  const { set, name } = await filesPlaceOf(context, run.job, request)
  const text = await atTarget(() => set.read(setManifestName))
  const manifest = text === undefined ? undefined : ownManifest(text, run.job.id)
  for (const sentence of manifest?.restore.omitted ?? []) run.warn(sentence)
  return manifest && { kind: 'completed', result: reportOf(name, manifest, Buffer.byteLength(text ?? '')) }
}

/** Removes what earlier attempts of a restore as files left unfinished; a set that one of them completed stays. */
export async function removeUnfinishedFiles(context: WorkerContext, run: JobRun, request: FilesRequest): Promise<void> {
  if (await completedBefore(context, run, request)) return
  const { set } = await filesPlaceOf(context, run.job, request)
  await atTarget(() => set.removeEarlier())
}

async function refuseOccupied({ set, name }: FilesPlace): Promise<void> {
  const occupants = await atTarget(() => set.occupants())
  if (occupants.length === 0) return
  throw new WorkFailed('TARGET_NOT_EMPTY', `${name} holds other files already, such as ${occupants.join(', ')}.`)
}
