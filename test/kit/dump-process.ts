import { readdirSync, readFileSync } from 'node:fs'
import { waitFor } from './wait-for.ts'

/** A PostgreSQL client program that runs now. */
export interface Program {
  pid: number
  name: string
  database: string
}

/** PostgreSQL's client programs that talk to a port of this machine. Looks at once, without a wait: some live for a blink. */
export async function programsTalkingTo(port: number): Promise<Program[]> {
  const found: Program[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const command = textOf(`/proc/${entry}/cmdline`)
    const name = /(pg_dump|pg_dumpall|pg_restore)$/.exec(command.split('\0')[0] ?? '')?.[1]
    const environment = name ? textOf(`/proc/${entry}/environ`).split('\0') : []
    if (!name || !environment.includes(`PGPORT=${port}`)) continue
    const database = environment.find((each) => each.startsWith('PGDATABASE='))?.slice('PGDATABASE='.length) ?? ''
    found.push({ pid: Number(entry), name, database })
  }
  return found
}

/** Nothing where the process is gone, or is another's. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
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
