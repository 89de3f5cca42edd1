import type { ServerAddress } from '../address.ts'
import { asEngineError } from '../classify.ts'
import { EngineError } from '../engine-error.ts'
import { quoteIdentifier } from '../quote.ts'
import { whyForeignOwner } from '../restore-conditions.ts'
import { refuseContents } from '../target-database.ts'
import { isTemporary } from '../temporary-database.ts'
import type { PresentDatabase, TargetFacts } from './facts.ts'
import { type Finding, passed, problem, warning } from './finding.ts'
import type { RestorePlan } from './plan.ts'

/** Whether each name is free, or belongs to a database that is empty, not in use, and that the role may replace. */
export async function checkNames(
  address: ServerAddress,
  facts: TargetFacts,
  { databases }: RestorePlan,
  signal: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = []
  // One after the other: each takes a connection, of which others on that server may need the rest.
  for (const { targetName } of databases) {
    const present = facts.databases.find(({ name }) => name === targetName)
    if (!present) {
      const message = `${quoteIdentifier(targetName)} is not there and will be created.`
      findings.push(passed('TARGET_DATABASE', targetName, message))
      continue
    }
    const contents = await checkContents(address, targetName, signal)
    findings.push(contents, ...checkOwner(facts, present), checkUse(present), ...checkPlace(present))
  }
  return [...findings, ...leftovers(facts)]
}

async function checkContents(address: ServerAddress, targetName: string, signal: AbortSignal): Promise<Finding> {
  try {
    await refuseContents(address, targetName, signal)
    return passed(
      'TARGET_DATABASE',
      targetName,
      `${quoteIdentifier(targetName)} is there and empty: it will be replaced.`,
    )
  } catch (error) {
    signal.throwIfAborted()
    const failure = asEngineError(error, `Looking whether ${quoteIdentifier(targetName)} is empty`)
    return problem('TARGET_DATABASE', targetName, failure, ['Restore under another name.'])
  }
}

function checkOwner({ self, roles }: TargetFacts, { name, ownerName }: PresentDatabase): Finding[] {
  const owner = roles.get(ownerName)
  if (owner?.hasRights && owner.mayBecome) return []
  const error = whyForeignOwner(self.name, ownerName, `replace database ${quoteIdentifier(name)}`, owner?.hasRights)
  return [problem('RIGHTS', name, error, [error.details])]
}

/** What a database that is replaced does not pass on. */
function checkPlace({ name, tablespace, isTemplate }: PresentDatabase): Finding[] {
  const database = quoteIdentifier(name)
  const findings: Finding[] = []
  if (tablespace !== 'pg_default') {
    const message = `${database} lies in tablespace ${quoteIdentifier(tablespace)}: what replaces it will lie in the default one.`
    findings.push(
      warning('TARGET_DATABASE', name, message, [
        `After the restore: ALTER DATABASE ${database} SET TABLESPACE ${quoteIdentifier(tablespace)}. The default one needs the space until then.`,
      ]),
    )
  }
  if (isTemplate) {
    findings.push(
      warning('TARGET_DATABASE', name, `${database} is a template: what replaces it will be none.`, [
        `After the restore: ALTER DATABASE ${database} IS_TEMPLATE true`,
      ]),
    )
  }
  return findings
}

function checkUse({ name, sessionCount, applications, preparedTransactionCount }: PresentDatabase): Finding {
  const used = [
    ...(sessionCount > 0 ? [counted(sessionCount, 'session')] : []),
    ...(preparedTransactionCount > 0 ? [counted(preparedTransactionCount, 'prepared transaction')] : []),
  ]
  if (used.length === 0) return passed('SESSIONS', name, `Nobody is connected to ${quoteIdentifier(name)}.`)
  const named = applications.length > 0 ? ` (${applications.slice(0, 5).join(', ')})` : ''
  const message = `${quoteIdentifier(name)} is in use: ${used.join(' and ')}${named}. It can be replaced only while nobody uses it.`
  return problem('SESSIONS', name, new EngineError('TARGET_IN_USE', message), [
    'End those sessions, or restore under another name.',
  ])
}

function counted(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`
}

/** Databases that exist only while a restore runs, and are none of this one's. */
function leftovers({ databases }: TargetFacts): Finding[] {
  const others = databases.filter(isTemporary)
  return others.map(({ name }) =>
    warning(
      'TARGET_DATABASE',
      name,
      `${quoteIdentifier(name)} is there: another restore is running, or one that never ended left it.`,
      ['When no restore is running on that server, look at it and drop it.'],
    ),
  )
}
