import { InvalidInput } from '../refusal.ts'
import { addDuration, parseDuration } from '../retention/duration.ts'
import type { ProofRules } from './policy.ts'

/** What somebody asks for; what is left out stays as it is. */
export interface AskedProofRules {
  verification?: Partial<ProofRules['verification']>
  /** Null: what recovery points hold is not compared. */
  anomalyGate?: Partial<NonNullable<ProofRules['anomalyGate']>> | null
}

const [fewestDays, mostDays] = [1, 366]

/** The present rules with what was asked for in their place; `usual` are those of a gate that was off. Refuses what cannot be kept, and names the field. */
export function changedProofRules(
  present: ProofRules,
  { verification, anomalyGate }: AskedProofRules,
  usual: NonNullable<ProofRules['anomalyGate']>,
): ProofRules {
  const rules: ProofRules = {
    verification: { ...present.verification, ...verification },
    anomalyGate:
      anomalyGate === undefined
        ? present.anomalyGate
        : anomalyGate && { ...(present.anomalyGate ?? usual), ...anomalyGate },
  }
  const { decode, restoreEvery } = rules.verification
  if (verification?.decode && decode?.kind === 'WITHIN') checkPeriod('verification.decode.within', decode.duration)
  if (verification?.restoreEvery != null && restoreEvery) checkPeriod('verification.restoreEvery', restoreEvery)
  checkShare('anomalyGate.maxRowFallPercent', anomalyGate?.rows)
  checkShare('anomalyGate.maxByteFallPercent', anomalyGate?.bytes)
  checkShare('anomalyGate.maxTableFallPercent', anomalyGate?.tables)
  return rules
}

/** How long such a period is, ms: days of 24 hours, months and years as they follow on the first day of 1970. */
export function periodMs(text: string): number {
  const duration = parseDuration(text)
  if (!duration) throw new Error(`Not a duration: ${text}`)
  return addDuration(new Date(0), duration).getTime()
}

function checkPeriod(field: string, text: string): void {
  const duration = parseDuration(text)
  const days = duration ? addDuration(new Date(0), duration).getTime() / 86_400_000 : Number.NaN
  if (days >= fewestDays && days <= mostDays) return
  throw new InvalidInput(
    field,
    `"${text.slice(0, 60).toWellFormed()}" cannot be kept: it is a duration of whole units, from ${fewestDays} to ${mostDays} days.`,
    ['Write it like P7D (7 days) or P1M (a month).'],
  )
}

function checkShare(field: string, percent: number | null | undefined): void {
  if (percent == null || (Number.isInteger(percent) && percent >= 1 && percent <= 99)) return
  throw new InvalidInput(field, `The greatest fall is 1 to 99 percent; ${percent} was given.`, [
    'Give a number from 1 to 99, 50 is usual, or null for none.',
  ])
}
