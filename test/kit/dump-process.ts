import { readdir, readFile } from 'node:fs/promises'
import { waitFor } from './wait-for.ts'

/** A PostgreSQL client program that runs now. */
export interface Program {
  pid: number
  name: string
  database: string
}

/** PostgreSQL's client programs that talk to a port of this machine. */
export async function programsTalkingTo(port: number): Promise<Program[]> {
  const found: Program[] = []
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const [command, environ] = await Promise.all([
      readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => ''),
      readFile(`/proc/${entry}/environ`, 'utf8').catch(() => ''),
    ])
    const name = /(pg_dump|pg_dumpall|pg_restore)$/.exec(command.split('\0')[0] ?? '')?.[1]
    const environment = environ.split('\0')
    if (!name || !environment.includes(`PGPORT=${port}`)) continue
    const database = environment.find((each) => each.startsWith('PGDATABASE='))?.slice('PGDATABASE='.length) ?? ''
    found.push({ pid: Number(entry), name, database })
  }
  return found
}

/** Waits for the pg_dump of a database and stops it where it is; `resume` lets it go on. */
export async function freezeDump(
  port: number,
  database: string,
): Promise<{ pid: number; resume: () => void; kill: () => void }> {
  const { pid } = await waitFor('a running pg_dump', async () => {
    const programs = await programsTalkingTo(port)
    const dump = programs.find((each) => each.name === 'pg_dump' && each.database === database)
    return dump && wasSignalled(dump.pid, 'SIGSTOP') ? dump : undefined
  })
  return {
    pid,
    resume: () => void wasSignalled(pid, 'SIGCONT'),
    kill: () => void wasSignalled(pid, 'SIGKILL'),
  }
}

function wasSignalled(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
