import type { VerifyLevel } from '../recovery-point.ts'
import { dayMs, hasFailed, type VerificationCandidate } from './candidate.ts'
import type { Pauses } from './decide-verification.ts'

const firstPauseMs = 15 * 60_000
/** One verification that fails says nothing of the vault. */
const fewestFailures = 2

/**
 * Until when nothing is begun at a level in a vault, from what became of the last verifications there, the latest first:
 * where one after another failed and no damage was found, it is the vault or the worker that ails, and trying all points
 * would only tell so a thousand times.
 */
export function decidePauses(tried: readonly VerificationCandidate[]): Pauses {
  const levels: VerifyLevel[] = ['READ_BACK', 'DECODED', 'RESTORED']
  return Object.fromEntries(
    levels.flatMap((level) => {
      const ended = tried.filter((each) => each.verificationTriedLevel === level && !each.isPending)
      const firstGood = ended.findIndex((point) => point.state === 'SUSPECT' || !hasFailed(point))
      const failed = firstGood === -1 ? ended : ended.slice(0, firstGood)
      // Each as often as it was tried: where few points are there to be tried, the same ones fail again and again.
      const failures = failed.reduce((sum, { verificationTries }) => sum + verificationTries, 0)
      const lastAt = ended[0]?.verificationTriedAt
      if (failures < fewestFailures || !lastAt) return []
      return [
        [
          level,
          new Date(lastAt.getTime() + Math.min(firstPauseMs * 2 ** Math.min(failures - fewestFailures, 20), dayMs)),
        ],
      ]
    }),
  )
}
