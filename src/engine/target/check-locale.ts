import type { ServerAddress } from '../address.ts'
import { asEngineError } from '../classify.ts'
import { createDatabaseLike, type DatabaseLocale, describeLocale, whyTooOldFor } from '../create-database.ts'
import { EngineError } from '../engine-error.ts'
import { quoteIdentifier } from '../quote.ts'
import type { Session } from '../session.ts'
import { dropAfterFailure, dropTemporary, markTemporary, temporaryNames } from '../temporary-database.ts'
import type { TargetFacts } from './facts.ts'
import { type Finding, passed, problem, skipped } from './finding.ts'
import { knownSources, type RestorePlan } from './plan.ts'

/** Whether a server can make a database with a locale, as far as its catalogues tell: UNKNOWN has to be tried. */
export type LocaleAnswer = { kind: 'YES'; because: string } | { kind: 'NO'; error: EngineError } | { kind: 'UNKNOWN' }

type LocaleFacts = Pick<TargetFacts, 'versionNumber' | 'collations' | 'hasIcu'> & {
  databases: readonly DatabaseLocale[]
}

/** What a server's catalogues tell of a locale, without making anything. */
export function lookForLocale(facts: LocaleFacts, source: DatabaseLocale): LocaleAnswer {
  const { versionNumber, databases, hasIcu } = facts
  const tooOld = whyTooOldFor(source, versionNumber)
  if (tooOld) return { kind: 'NO', error: tooOld }
  const alike = databases.find((database) => sameLocale(database, source))
  if (alike) return { kind: 'YES', because: `database ${quoteIdentifier(alike.name)} there has it` }
  if (source.localeProvider === 'ICU' && !hasIcu) {
    const message = `Database ${quoteIdentifier(source.name)} has the locale ${describeLocale(source)}, and the server was built without ICU.`
    return { kind: 'NO', error: new EngineError('LOCALE_MISSING', message) }
  }
  // What ICU and the builtin provider make of a locale's name and an encoding, only they can tell.
  if (source.localeProvider === 'LIBC' && knowsLibrary(facts, source)) {
    return { kind: 'YES', because: 'its collations have it' }
  }
  return { kind: 'UNKNOWN' }
}

function knowsLibrary({ collations }: LocaleFacts, { collate, ctype, encoding }: DatabaseLocale): boolean {
  if (isPlain(collate) && isPlain(ctype)) return true
  return [collate, ctype].every(
    (wanted) =>
      isPlain(wanted) ||
      collations.some((each) => spelling(each.collate) === spelling(wanted) && each.encoding === encoding),
  )
}

/** The locales of the C standard, which every server has in every encoding. */
function isPlain(locale: string): boolean {
  return locale === 'C' || locale === 'POSIX'
}

/** "en_US.UTF-8" and "en_US.utf8" are one. */
function spelling(locale: string): string {
  return locale.toLowerCase().replaceAll('-', '')
}

function sameLocale(one: DatabaseLocale, other: DatabaseLocale): boolean {
  return keyOf(one) === keyOf(other)
}

function keyOf({ encoding, localeProvider, collate, ctype, locale, icuRules }: DatabaseLocale): string {
  return JSON.stringify([encoding, localeProvider, spelling(collate), spelling(ctype), locale, icuRules])
}

export interface TargetToTry {
  address: ServerAddress
  session: Session
  facts: TargetFacts
  signal: AbortSignal
}

/**
 * Whether the server can make databases that store and sort text as the sources did. What its catalogues do not tell is
 * tried: an empty database is made under a temporary name, and dropped at once.
 */
export async function checkLocales(target: TargetToTry, plan: RestorePlan): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const alike of Map.groupBy(knownSources(plan), keyOf).values()) {
    const [source] = alike
    if (!source) continue
    const answer = lookForLocale(target.facts, source)
    const tried = answer.kind === 'UNKNOWN' ? await tryLocale(target, source, plan.token) : answer
    for (const { name } of alike) findings.push(findingOf(name, source, tried))
  }
  return findings
}

function findingOf(name: string, source: DatabaseLocale, answer: LocaleAnswer): Finding {
  const locale = describeLocale(source)
  switch (answer.kind) {
    case 'YES':
      return passed('LOCALE', name, `The server can store ${locale}: ${answer.because}.`)
    case 'NO':
      return problem('LOCALE', name, answer.error)
    case 'UNKNOWN':
      return skipped('LOCALE', name, `Whether the server can store ${locale} only a new database would show.`)
  }
}

/** UNKNOWN where the role may not create databases, which is told elsewhere, or the server takes no writes. */
async function tryLocale(
  { address, session, facts, signal }: TargetToTry,
  source: DatabaseLocale,
  token: string,
): Promise<LocaleAnswer> {
  const { self, isInRecovery } = facts
  if (isInRecovery || !(self.isSuperuser || self.createsDatabases)) return { kind: 'UNKNOWN' }
  const { restoring } = temporaryNames(token)
  try {
    await createDatabaseLike(session, restoring, source)
    await markTemporary(session, restoring)
    await dropTemporary(session, restoring)
    return { kind: 'YES', because: 'an empty database with it was made and dropped' }
  } catch (error) {
    // Whatever was made: the session may have gone with the failure, or with the abort.
    await dropAfterFailure(address, address.maintenanceDatabase, restoring)
    signal.throwIfAborted()
    return { kind: 'NO', error: asEngineError(error, `Trying the locale of ${quoteIdentifier(source.name)}`) }
  }
}
