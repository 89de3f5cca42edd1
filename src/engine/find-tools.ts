import { constants } from 'node:fs'
import { access, glob, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { runProgram } from './run-program.ts'

/** pg_dump, pg_restore and pg_dumpall of one version, side by side in one directory. */
export interface Toolset {
  major: number
  /** As the programs say it, e.g. "15.18". */
  version: string
  directory: string
  /** Whether this pg_dump can compress with zstd itself: 16 and newer, when built with it. */
  canCompressZstd: boolean
}

const programs = ['pg_dump', 'pg_restore', 'pg_dumpall'] as const
const usualDirectories = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/libexec/postgresql*',
  '/usr/local/pgsql*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/usr/local/bin',
  '/usr/bin',
]

/**
 * Finds PostgreSQL's own programs in the directories given and in the usual ones: one set per major version, the
 * newest minor of it, in order of version. Directories that lack one of the programs, or that mix versions, are passed by.
 */
export async function findTools({ extraDirectories }: { extraDirectories: readonly string[] }): Promise<Toolset[]> {
  const usual = await Array.fromAsync(glob(usualDirectories))
  const directories = new Set<string>()
  for (const directory of [...extraDirectories, ...usual.sort()]) {
    const real = await realpath(directory).catch(() => undefined)
    if (real) directories.add(real)
  }
  const byMajor = new Map<number, Toolset>()
  for (const directory of directories) {
    const found = await toolsetIn(directory)
    const known = found && byMajor.get(found.major)
    if (found && (!known || minorOf(found) > minorOf(known))) byMajor.set(found.major, found)
  }
  return [...byMajor.values()].sort((left, right) => left.major - right.major)
}

async function toolsetIn(directory: string): Promise<Toolset | undefined> {
  const versions = await Promise.all(programs.map((program) => versionOf(join(directory, program))))
  const [version] = versions
  if (version === undefined || versions.some((each) => each !== version)) return undefined
  const major = Number.parseInt(version, 10)
  return { major, version, directory, canCompressZstd: major >= 16 && (await compressesZstd(directory)) }
}

async function versionOf(program: string): Promise<string | undefined> {
  try {
    await access(program, constants.X_OK)
    // Debian's wrapper is a script that picks a version by the server it is pointed at.
    if (!(await realpath(program)).match(/pg_wrapper$/))
      return /\(PostgreSQL\) (\d\S*)/.exec(await output(program))?.[1]
  } catch {
    return undefined
  }
  return undefined
}

async function output(program: string): Promise<string> {
  const sink = new PassThrough()
  const said = text(sink)
  await Promise.all([runProgram({ program, args: ['--version'], environment: quiet, sink, signal: soon() }), said])
  return said
}

// It looks at its options before it dials, so a server that cannot exist is enough to learn whether it knows zstd.
async function compressesZstd(directory: string): Promise<boolean> {
  const { stderr } = await runProgram({
    program: join(directory, 'pg_dump'),
    args: ['-Fc', '--compress=zstd:1', '--host=/nonexistent'],
    environment: quiet,
    signal: soon(),
  })
  // Any other failure, of a library say, tells nothing: then it is not relied on.
  return /connection to server .* failed/.test(stderr)
}

const quiet = { LC_ALL: 'C', PATH: '/usr/bin:/bin' }
const soon = () => AbortSignal.timeout(10_000)

function minorOf({ version }: Toolset): number {
  return Number.parseInt(version.split('.')[1] ?? '0', 10)
}
