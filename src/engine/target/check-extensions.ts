import { EngineError } from '../engine-error.ts'
import { compareVersions } from '../extension-version.ts'
import { quoteIdentifier } from '../quote.ts'
import { missingExtensions } from '../restore-conditions.ts'
import type { TargetFacts } from './facts.ts'
import { type Finding, passed, problem, skipped, warning } from './finding.ts'
import { knownSources, type RestorePlan } from './plan.ts'

// They do their work, or can be created at all, only where the server loads them at its start.
const preloadedExtensions: Readonly<Record<string, string>> = {
  citus: 'citus',
  orioledb: 'orioledb',
  pg_cron: 'pg_cron',
  pg_net: 'pg_net',
  pg_qualstats: 'pg_qualstats',
  pg_squeeze: 'pg_squeeze',
  pg_stat_kcache: 'pg_stat_kcache',
  pg_stat_statements: 'pg_stat_statements',
  pg_wait_sampling: 'pg_wait_sampling',
  pgaudit: 'pgaudit',
  pglogical: 'pglogical',
  set_user: 'set_user',
  timescaledb: 'timescaledb',
}

// Providers let the members of these create extensions that need a superuser elsewhere.
const providersAdministrators = ['rds_superuser', 'azure_pg_admin', 'cloudsqlsuperuser', 'alloydbsuperuser']

/** Whether the server has the extensions that the databases use, in versions that will do, and the role may create them. */
export function checkExtensions(facts: TargetFacts, plan: RestorePlan): Finding[] {
  const sources = knownSources(plan)
  const missing = new Map(
    sources.flatMap((source) =>
      missingExtensions(facts.extensions, source).map(({ name, error }) => [name, error] as const),
    ),
  )
  const findings = [...missing].map(([name, error]) =>
    problem('EXTENSIONS', name, error, [
      `Install the package that holds ${quoteIdentifier(name)} on the target server.`,
    ]),
  )
  for (const [name, version] of versionsUsed(sources)) {
    const available = facts.extensions.get(name)
    if (available) findings.push(...checkAvailable(facts, name, version, available))
  }
  return findings.length > 0 ? findings : [passed('EXTENSIONS', 'extensions', 'The databases use none.')]
}

function checkAvailable(
  { self, roles }: TargetFacts,
  name: string,
  usedVersion: string,
  { version, needsSuperuser }: { version: string; needsSuperuser: boolean },
): Finding[] {
  const findings: Finding[] = []
  if (needsSuperuser && !self.isSuperuser) {
    const isAdministrator = providersAdministrators.some((role) => roles.get(role)?.hasRights)
    const message = `Only a superuser can create extension ${quoteIdentifier(name)}, and ${quoteIdentifier(self.name)} is none.`
    findings.push(
      isAdministrator
        ? warning('EXTENSIONS', name, `${message} The provider of the server may allow it all the same.`)
        : problem('EXTENSIONS', name, new EngineError('PERMISSION_DENIED', message), [
            'Restore with a superuser registered, or restore without the database that uses it.',
          ]),
    )
  }
  if (compareVersions(version, usedVersion) < 0) {
    const message = `The server creates ${quoteIdentifier(name)} in version ${version}; the source used ${usedVersion}: what only that has would fail.`
    findings.push(
      warning('EXTENSIONS', name, message, [`Install ${name} ${usedVersion} or newer on the target server.`]),
    )
  }
  return findings.length > 0 ? findings : [passed('EXTENSIONS', name, `Available in version ${version}.`)]
}

/** Whether what has to be loaded at the server's start is. */
export function checkPreloadedLibraries(facts: TargetFacts, plan: RestorePlan): Finding[] {
  const kind = 'PRELOADED_LIBRARIES'
  const needed = [...versionsUsed(knownSources(plan)).keys()].filter((name) => preloadedExtensions[name] !== undefined)
  if (needed.length === 0) return [passed(kind, 'shared_preload_libraries', 'No extension needs to be in it.')]
  const { preloadedLibraries, self } = facts
  if (!preloadedLibraries) {
    const reason = `${quoteIdentifier(self.name)} may not read shared_preload_libraries, which ${needed.join(', ')} should be in; pg_read_all_settings would let it.`
    return [skipped(kind, 'shared_preload_libraries', reason)]
  }
  return needed.map((name) => {
    const library = preloadedExtensions[name] ?? name
    if (preloadedLibraries.includes(library)) return passed(kind, name, `${library} is loaded.`)
    const message = `${library} is not in shared_preload_libraries: extension ${quoteIdentifier(name)} cannot be created without it, or does nothing.`
    return warning(kind, name, message, [`Add ${library} to shared_preload_libraries and restart the target server.`])
  })
}

function versionsUsed(sources: readonly { extensions: { name: string; version: string }[] }[]): Map<string, string> {
  const used = new Map<string, string>()
  for (const { name, version } of sources.flatMap(({ extensions }) => extensions)) {
    const known = used.get(name)
    // Every database has it from the start.
    if (name !== 'plpgsql' && (known === undefined || compareVersions(known, version) < 0)) used.set(name, version)
  }
  return used
}
