import { describeSchedule } from './describe-schedule.ts'
import type { PolicyVersion, ProofRules } from './policy.ts'

/** The rules of a policy as the audit log tells them. */
export function factsOf(rules: PolicyVersion): Record<string, string | number> {
  return {
    version: rules.version,
    schedule: describeSchedule(rules),
    spreadMinutes: rules.schedule?.spreadMinutes ?? 0,
    defaultRetention: rules.defaultRetention,
    retentionRules: rules.retentionRules.map(({ tag, duration }) => `${tag} ${duration}`).join(', '),
    decode: decodeText(rules.verification),
    restoreEvery: rules.verification.restoreEvery ?? 'never',
    anomalyGate: gateText(rules.anomalyGate),
  }
}

function decodeText({ decode }: ProofRules['verification']): string {
  if (!decode) return 'never'
  return decode.kind === 'EVERY_POINT' ? 'every point' : `within ${decode.duration}`
}

function gateText(gate: ProofRules['anomalyGate']): string {
  if (!gate) return 'off'
  return Object.entries(gate)
    .map(([measure, percent]) => `${measure} ${percent === null ? 'off' : `${percent} %`}`)
    .join(', ')
}
