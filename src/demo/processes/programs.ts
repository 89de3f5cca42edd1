import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, glob } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** PostgreSQL's server and client programs of one version, side by side in one folder. */
export interface Programs {
  binDir: string
  /** As the programs say it, e.g. "15.18". */
  version: string
}

const needed = ['initdb', 'postgres', 'pg_dump', 'pg_restore']
const usualFolders = [
  '/usr/lib/postgresql/*/bin',
  '/usr/local/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/libexec/postgresql*',
  '/usr/local/pgsql*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
]

/** Finds the newest PostgreSQL that is installed with its server; throws, saying what to install, where there is none. */
export async function findPrograms(environment: Record<string, string | undefined>): Promise<Programs> {
  const named = [environment.HOLDFAST_POSTGRES_DIRECTORIES, environment.PATH]
  const folders = named.flatMap((each) => each?.split(delimiter) ?? []).filter((each) => each !== '')
  const found = await Promise.all([...folders, ...(await Array.fromAsync(glob(usualFolders)))].map(programsIn))
  const [newest] = found
    .filter((each) => each !== undefined)
    .sort((left, right) => right.version.localeCompare(left.version, 'en', { numeric: true }))
  if (newest) return newest
  throw new Error(
    'The demo needs a PostgreSQL server of its own to back up, and none is installed: on Debian "apt-get install postgresql", on macOS "brew install postgresql".',
  )
}

async function programsIn(binDir: string): Promise<Programs | undefined> {
  try {
    await Promise.all(needed.map((program) => access(join(binDir, program), constants.X_OK)))
    const { stdout } = await run(join(binDir, 'postgres'), ['--version'])
    const version = /\(PostgreSQL\) (\d\S*)/.exec(stdout)?.[1]
    return version === undefined ? undefined : { binDir, version }
  } catch {
    // Not a folder of PostgreSQL programs that we may run.
    return undefined
  }
}
