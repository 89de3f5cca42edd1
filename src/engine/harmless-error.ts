import type { ProgramEnd } from './classify.ts'
import type { Toolset } from './find-tools.ts'

const harmless = 'could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"'

/**
 * Whether this pg_restore meets an error that means nothing: from 17 on it turns off a setting that servers before 17 do
 * not have. It cannot then be told to stop at the first error, as this would be the first.
 */
export function toleratesHarmlessError({ major }: Toolset, targetVersionNumber: number): boolean {
  return major >= 17 && targetVersionNumber < 170_000
}

/** Whether a pg_restore that went on after errors met exactly one, and that the harmless one: by its text and by its count. */
export function isOnlyHarmlessError({ exitCode, killedBy, stderr }: ProgramEnd): boolean {
  const lines = stderr.split('\n')
  const errors = lines.filter((line) => /\b(error|fatal|ERROR|FATAL|PANIC):/.test(line))
  return (
    exitCode === 1 &&
    killedBy === null &&
    errors.length === 1 &&
    errors[0] === `pg_restore: error: ${harmless}` &&
    lines.includes('Command was: SET transaction_timeout = 0;') &&
    lines.includes('pg_restore: warning: errors ignored on restore: 1')
  )
}
