import type { FailureCode } from '../../failure.ts'
import type { RecordEvidence } from '../../recovery-point/record-evidence.ts'

/** What a verification has looked at. */
export type Checked = RecordEvidence['checked']

/** What a verification has found: a point without findings is good to the level that was asked. */
export interface Findings {
  /** What is wrong with the stored bytes, one sentence each, naming the file. */
  damage: string[]
  /** What is wrong with what they restore to, one sentence each, naming the table, index or assertion. */
  differences: string[]
  /** Assertions that have no answer, one sentence each: nothing against the point, but nothing is proven either. */
  unanswered: string[]
}

/** Whether nothing is wrong with the point itself. */
export function hasNone({ damage, differences }: Findings): boolean {
  return damage.length === 0 && differences.length === 0
}

/** The failure that findings make of a job: damage explains whatever else differs. */
export function codeOf({ damage }: Findings): FailureCode {
  return damage.length > 0 ? 'ARTIFACT_DAMAGED' : 'PROOF_FAILED'
}

/** More than that nobody reads, and a point carries its findings wherever it goes. */
const mostFindings = 100

/** The findings as they are kept: a hundred sentences of each kind at most, with how many more there were. `damage` is both kinds. */
export function boundedFindings({ damage, differences }: Findings): { differences: string[]; damage: string[] } {
  const kept = bounded(differences)
  return { differences: kept, damage: [...bounded(damage), ...kept] }
}

function bounded(sentences: readonly string[]): string[] {
  const more = sentences.length - mostFindings
  if (more <= 0) return [...sentences]
  return [...sentences.slice(0, mostFindings), `… and ${more} more findings like these.`]
}
