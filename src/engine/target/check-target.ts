import type { ServerAddress } from '../address.ts'
import { asEngineError } from '../classify.ts'
import { openSession } from '../session.ts'
import {
  checkConnections,
  checkLocks,
  checkServerSpace,
  checkServerVersion,
  checkTablespaces,
  checkWritable,
} from './check-capacity.ts'
import { checkExtensions, checkPreloadedLibraries } from './check-extensions.ts'
import { checkLocales } from './check-locale.ts'
import { checkNames } from './check-names.ts'
import { checkRights, checkRoles } from './check-rights.ts'
import { lookAtTarget, type TargetFacts } from './facts.ts'
import { type Finding, passed, problem } from './finding.ts'
import type { RestorePlan } from './plan.ts'

/** What a server was found to be, and everything that was found about a restore into it. */
export interface TargetReport {
  /** Null when it could not be asked. */
  server: Pick<TargetFacts, 'version' | 'versionNumber'> | null
  findings: Finding[]
}

/**
 * Looks for everything that would make a restore into a server fail, over one connection and, one after the
 * other, one more for each target that exists. A server that cannot be asked is a finding; throws only the signal's reason. What it makes to try a
 * locale is gone when it resolves; after a crash, settleRestores finds it by the plan's token.
 */
export async function checkTarget(
  address: ServerAddress,
  plan: RestorePlan,
  { signal }: { signal: AbortSignal },
): Promise<TargetReport> {
  try {
    await using session = await openSession(address, address.maintenanceDatabase, { signal })
    const facts = await lookAtTarget(session)
    const locales = await checkLocales({ address, session, facts, signal }, plan)
    const names = await checkNames(address, facts, plan, signal)
    const findings = [connected(address, facts), ...decided(facts, plan), ...locales, ...names]
    return { server: { version: facts.version, versionNumber: facts.versionNumber }, findings }
  } catch (error) {
    signal.throwIfAborted()
    const failure = asEngineError(error, `Looking at the server at ${address.host}:${address.port}`)
    return { server: null, findings: [problem('CONNECTION', `${address.host}:${address.port}`, failure)] }
  }
}

/** What the facts alone decide. */
function decided(facts: TargetFacts, plan: RestorePlan): Finding[] {
  return [
    ...checkWritable(facts),
    ...checkServerVersion(facts, plan),
    ...checkRights(facts, plan),
    ...checkRoles(facts, plan),
    ...checkExtensions(facts, plan),
    ...checkPreloadedLibraries(facts, plan),
    ...checkTablespaces(facts, plan),
    ...checkConnections(facts, plan),
    ...checkLocks(facts, plan),
    ...checkServerSpace(plan),
  ]
}

function connected({ host, port, username }: ServerAddress, { version, isEncrypted }: TargetFacts): Finding {
  const how = isEncrypted ? 'encrypted' : 'not encrypted'
  return passed('CONNECTION', `${host}:${port}`, `PostgreSQL ${version} let ${username} in; the connection is ${how}.`)
}
