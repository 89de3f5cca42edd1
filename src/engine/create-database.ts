import { asEngineError } from './classify.ts'
import { EngineError } from './engine-error.ts'
import type { DatabaseReport } from './inspect.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'
import type { Session } from './session.ts'

/** What decides how a database's text is stored and sorted: it cannot be changed later. */
export type DatabaseLocale = Pick<
  DatabaseReport,
  'name' | 'encoding' | 'localeProvider' | 'collate' | 'ctype' | 'locale' | 'icuRules'
>

/**
 * Creates an empty database that stores and sorts text as the source did, closed to everyone but its owner and superusers.
 * Throws LOCALE_MISSING when the server cannot do that, PERMISSION_DENIED without the right to create databases.
 */
export async function createDatabaseLike(session: Session, name: string, source: DatabaseLocale): Promise<void> {
  const statement = createStatement(name, source, session.versionNumber)
  try {
    await session.sql.unsafe(statement)
    await session.sql.unsafe(`revoke all on database ${quoteIdentifier(name)} from public`)
  } catch (error) {
    const failure = asEngineError(error, `Creating database ${quoteIdentifier(name)}`)
    if (!/locale|collat|encoding|ICU/i.test(failure.message)) throw failure
    throw new EngineError(
      'LOCALE_MISSING',
      `The server cannot make a database with the locale of ${quoteIdentifier(source.name)} (${describeLocale(source)}): ${failure.details}.`,
      failure.details,
      { cause: error },
    )
  }
}

/** LOCALE_MISSING when databases with such a locale came with a newer version than the server's; undefined otherwise. */
export function whyTooOldFor(source: DatabaseLocale, versionNumber: number): EngineError | undefined {
  const since = { LIBC: 0, ICU: 150_000, BUILTIN: 170_000 }[source.localeProvider]
  if (versionNumber >= since) return undefined
  return new EngineError(
    'LOCALE_MISSING',
    `Database ${quoteIdentifier(source.name)} has the locale ${describeLocale(source)}, which needs PostgreSQL ${since / 10_000} or newer.`,
  )
}

/** The statement that creates an empty database that stores and sorts text as the source did; throws LOCALE_MISSING for too old a server. */
export function createStatement(name: string, source: DatabaseLocale, versionNumber: number): string {
  const { encoding, localeProvider, collate, ctype, locale, icuRules } = source
  const tooOld = whyTooOldFor(source, versionNumber)
  if (tooOld) throw tooOld
  const options = [
    'template template0',
    `encoding ${quoteLiteral(encoding)}`,
    `lc_collate ${quoteLiteral(collate)}`,
    `lc_ctype ${quoteLiteral(ctype)}`,
  ]
  if (versionNumber >= 150_000) options.push(`locale_provider ${localeProvider.toLowerCase()}`)
  if (locale !== null)
    options.push(`${localeProvider === 'ICU' ? 'icu_locale' : 'builtin_locale'} ${quoteLiteral(locale)}`)
  if (icuRules !== null && versionNumber >= 160_000) options.push(`icu_rules ${quoteLiteral(icuRules)}`)
  return `create database ${quoteIdentifier(name)} ${options.join(' ')}`
}

/** Encoding and locale in words. */
export function describeLocale({ encoding, localeProvider, collate, ctype, locale }: DatabaseLocale): string {
  const libc = collate === ctype ? collate : `${collate}/${ctype}`
  return `${encoding}, ${localeProvider === 'LIBC' ? libc : `${localeProvider} ${locale}, ${libc}`}`
}
