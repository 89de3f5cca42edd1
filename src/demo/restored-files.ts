import { execFile } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { counted, size } from './format.ts'
import type { Programs } from './processes/programs.ts'
import type { Step } from './terminal.ts'

const run = promisify(execFile)

/**
 * Lists a restored set of files and has PostgreSQL's own pg_restore read every archive to its end; answers how many there
 * are, and throws when there is none or one cannot be read.
 */
export async function showRestoredFiles(
  directory: string,
  { programs, step, signal }: { programs: Programs; step: Step; signal: AbortSignal },
): Promise<number> {
  const names = (await readdir(directory)).sort()
  for (const name of names) {
    const { size: bytes } = await stat(join(directory, name))
    const what = name.endsWith('.dump') ? `  ${await readArchive(join(directory, name), programs, signal)}` : ''
    step.detail(`${name.padEnd(24)} ${size(bytes).padStart(8)}${what}`)
  }
  const archives = names.filter((name) => name.endsWith('.dump'))
  if (archives.length === 0) throw new Error(`No archive was restored into ${directory}.`)
  return archives.length
}

async function readArchive(path: string, { binDir }: Programs, signal: AbortSignal): Promise<string> {
  const pgRestore = join(binDir, 'pg_restore')
  const { stdout } = await run(pgRestore, ['--list', path], { signal, maxBuffer: 64_000_000 })
  await run(pgRestore, ['--file=/dev/null', path], { signal })
  const entries = stdout.split('\n').filter((line) => /^\d/.test(line)).length
  const database = /^;\s+dbname: (.*)$/m.exec(stdout)?.[1] ?? ''
  return `pg_restore reads it whole: ${counted(entries, 'entry', 'entries')} of database ${JSON.stringify(database)}`
}
