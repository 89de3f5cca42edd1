import { EngineError } from '../engine-error.ts'
import { quoteIdentifier } from '../quote.ts'
import type { TargetFacts } from './facts.ts'
import { type Finding, passed, problem, skipped, warning } from './finding.ts'
import { knownSources, type RestorePlan } from './plan.ts'

/** Whether the server takes writes at all. */
export function checkWritable({ isInRecovery, isReadOnlyByDefault }: TargetFacts): Finding[] {
  if (isInRecovery) {
    const error = new EngineError(
      'TARGET_READ_ONLY',
      'The server is a standby, or still recovering: it takes no writes.',
    )
    return [problem('WRITABLE', 'server', error, ['Register the primary server and restore into that.'])]
  }
  if (!isReadOnlyByDefault) return [passed('WRITABLE', 'server', 'The server takes writes.')]
  const message =
    'Transactions are read-only by default there, as some providers set it when a disk is nearly full. A restore writes all the same.'
  return [
    warning('WRITABLE', 'server', message, [
      'Find out why default_transaction_read_only is on; look at the free space of the server first.',
    ]),
  ]
}

/** Whether the server has the connections that a restore opens at once. */
export function checkConnections({ freeConnections, self }: TargetFacts, { connectionCount }: RestorePlan): Finding[] {
  const free = `${quoteIdentifier(self.name)} can open ${freeConnections + 1} connections now; a restore opens up to ${connectionCount}.`
  // The one that asks is gone by then.
  if (freeConnections + 1 >= connectionCount) return [passed('CONNECTIONS', self.name, free)]
  return [
    problem('CONNECTIONS', self.name, new EngineError('TOO_MANY_CONNECTIONS', free), [
      'Raise max_connections, or the CONNECTION LIMIT of the role.',
    ]),
  ]
}

// Each table is locked together with its primary key and, as a rule, one more index.
const locksOfTable = 3

/** Whether all tables of a database can be locked at once, as counting their rows in one transaction does. */
export function checkLocks({ lockSlots }: TargetFacts, { databases }: RestorePlan): Finding[] {
  const crowded = databases.filter(({ tableCount }) => tableCount * locksOfTable > lockSlots)
  if (crowded.length === 0) return [passed('LOCKS', 'server', `The server can hold ${lockSlots} locks.`)]
  return crowded.map(({ targetName, tableCount }) => {
    const needed = tableCount * locksOfTable
    const message = `Counting the ${tableCount} tables of ${quoteIdentifier(targetName)} takes about ${needed} locks at once; the server is set up for ${lockSlots}.`
    return warning('LOCKS', targetName, message, [
      'Raise max_locks_per_transaction on the target server and restart it.',
    ])
  })
}

/** Whether the tablespaces of the source are there. */
export function checkTablespaces({ tablespaces }: TargetFacts, plan: RestorePlan): Finding[] {
  const used = [...new Set(knownSources(plan).flatMap((source) => source.tablespaces))]
  const missing = used.filter((name) => !tablespaces.has(name))
  if (missing.length === 0) {
    const message = used.length === 0 ? 'The databases use the default one alone.' : 'All that are used are there.'
    return [passed('TABLESPACES', 'tablespaces', message)]
  }
  return missing.map((name) =>
    warning('TABLESPACES', name, `Tablespace ${quoteIdentifier(name)} is not there: the default one is used.`, [
      `CREATE TABLESPACE ${quoteIdentifier(name)} LOCATION '…', if its contents should lie apart.`,
    ]),
  )
}

/** How much the databases take; how much is free there no query can tell. */
export function checkServerSpace(plan: RestorePlan): Finding[] {
  const bytes = knownSources(plan).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const message = `PostgreSQL does not tell how much space its disks have left. The databases took ${bytes} bytes at the source.`
  return [skipped('FREE_SPACE', 'server', message)]
}

/** What came with each version, as far as dumps tell: a server that is older refuses it. */
const newIn: Readonly<Record<number, string>> = {
  11: 'procedures, hash partitions and primary keys of partitioned tables',
  12: 'generated columns and nondeterministic collations',
  13: 'publications of partitioned tables',
  14: 'multiranges, SQL-standard function bodies and column compression',
  15: 'NULLS NOT DISTINCT, security_invoker views, row filters of publications and ICU as the locale of a database',
  16: 'ICU rules',
  17: 'the builtin locale provider and the MAINTAIN privilege',
  18: 'virtual generated columns, keys WITHOUT OVERLAPS and NOT ENFORCED constraints',
}

/** Whether the server is older than the source was. */
export function checkServerVersion({ versionNumber, version }: TargetFacts, plan: RestorePlan): Finding[] {
  const subject = `PostgreSQL ${version}`
  if (plan.sourceVersionNumber === null) return []
  const [target, source] = [majorOf(versionNumber), majorOf(plan.sourceVersionNumber)]
  if (target >= source) return [passed('SERVER_VERSION', subject, `It is not older than the source (${source}).`)]
  const features = Object.entries(newIn).flatMap(([major, what]) =>
    Number(major) > target && Number(major) <= source ? what : [],
  )
  const failing = features.length > 0 ? ` What would fail, where it is used: ${features.join('; ')}.` : ''
  const message = `The server is older than the source was (PostgreSQL ${source}).${failing}`
  return [warning('SERVER_VERSION', subject, message, [`Restore into PostgreSQL ${source} or newer.`])]
}

function majorOf(versionNumber: number): number {
  return Math.floor(versionNumber / 10_000)
}
