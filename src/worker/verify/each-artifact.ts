import type { JobRun } from '../../job/handler.ts'
import { damageIn } from '../point/damage.ts'
import type { ManifestArtifact } from '../point/manifest.ts'
import type { Look, OpenPoint } from '../point/read-point.ts'

/** What is decoded beside each other: more would wait for the same processors. */
const atOnce = 2

/**
 * Does a piece of work on the stored bytes of every artifact of a point, two at once, each under its own name, the largest
 * first. Damage is added to the list and the others go on; any other failure ends all of them and is thrown.
 */
export async function eachArtifact(
  run: JobRun,
  { manifest }: OpenPoint,
  {
    doing,
    damage,
    work,
  }: { doing: string; damage: string[]; work: (artifact: ManifestArtifact, look: Look) => Promise<void> },
): Promise<void> {
  const progress = storedProgress(run, manifest.artifacts)
  const largestFirst = manifest.artifacts.toSorted((one, other) => other.digest.storedBytes - one.digest.storedBytes)
  await inTurns(largestFirst, run.signal, (artifact, signal) =>
    damageIn(damage, () =>
      run.subTask(`${doing} ${nameOf(artifact)}`, (task) =>
        work(artifact, {
          signal,
          onBytes: (bytesDone) => {
            task.progress({ bytesDone, bytesTotal: artifact.digest.storedBytes })
            progress(artifact, bytesDone)
          },
        }),
      ),
    ),
  )
}

function nameOf({ database }: ManifestArtifact): string {
  return database === null ? 'roles and tablespaces' : JSON.stringify(database)
}

/** The job's progress, in stored bytes: artifacts that are read beside each other add up. */
function storedProgress(run: JobRun, artifacts: readonly ManifestArtifact[]) {
  const done = new Map<ManifestArtifact, number>()
  let sum = 0
  run.progress({ bytesDone: 0, bytesTotal: artifacts.reduce((total, { digest }) => total + digest.storedBytes, 0) })
  return (artifact: ManifestArtifact, bytes: number) => {
    // What is read a second time, to be sure of damage, is not counted twice.
    const before = done.get(artifact) ?? 0
    if (bytes <= before) return run.alive()
    done.set(artifact, bytes)
    sum += bytes - before
    run.progress({ bytesDone: sum })
  }
}

/** Works on all items, some at once; the first failure ends those that run, and is thrown when they have ended. */
async function inTurns<Item>(
  items: readonly Item[],
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const waiting = items.values()
  const lane = async () => {
    for (const item of waiting) await work(item, either)
  }
  const lanes = Array.from({ length: atOnce }, () =>
    lane().catch((cause: unknown) => {
      failed.abort(cause)
      throw cause
    }),
  )
  await Promise.allSettled(lanes)
  either.throwIfAborted()
}
