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

/**
 * Judges a pg_restore that went on after errors: whether it met the harmless one alone, by its exact text, as often as it says
 * that it ignored one. Each of its connections meets it: with several jobs there are several, and not all of them are counted.
 */
export function isOnlyHarmless(jobs: number): (end: ProgramEnd) => boolean {
  return ({ exitCode, killedBy, stderr }) => {
    const lines = stderr.split('\n')
    const errors = lines.filter((line) => /\b(error|fatal|ERROR|FATAL|PANIC):/.test(line))
    const commands = lines.filter((line) => line.startsWith('Command was: '))
    const [, ignored] = /^pg_restore: warning: errors ignored on restore: (\d+)$/m.exec(stderr) ?? []
    return (
      exitCode === 1 &&
      killedBy === null &&
      errors.every((line) => line === `pg_restore: error: ${harmless}`) &&
      commands.length === errors.length &&
      commands.every((line) => line === 'Command was: SET transaction_timeout = 0;') &&
      (jobs === 1 ? errors.length === 1 && ignored === '1' : errors.length >= 1 && Number(ignored) <= errors.length)
    )
  }
}
