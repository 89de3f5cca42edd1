import { readdir, readFile } from 'node:fs/promises'
import { waitFor } from './wait-for.ts'

/** The pids of PostgreSQL's client programs that talk to a port of this machine. */
export async function programsTalkingTo(port: number): Promise<{ pid: number; name: string }[]> {
  const found: { pid: number; name: string }[] = []
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const [command, environment] = await Promise.all([
      readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => ''),
      readFile(`/proc/${entry}/environ`, 'utf8').catch(() => ''),
    ])
    const name = /(pg_dump|pg_dumpall|pg_restore)$/.exec(command.split('\0')[0] ?? '')?.[1]
    if (name && environment.split('\0').includes(`PGPORT=${port}`)) found.push({ pid: Number(entry), name })
  }
  return found
}

/** Waits for the pg_dump of a server on a port and stops it where it is; `resume` lets it go on. */
export async function freezeDump(port: number): Promise<{ pid: number; resume: () => void; kill: () => void }> {
  const [dump] = await waitFor('a running pg_dump', async () => {
    const found = (await programsTalkingTo(port)).filter(({ name }) => name === 'pg_dump')
    return found.length > 0 ? found : undefined
  })
  if (!dump) throw new Error('no pg_dump')
  process.kill(dump.pid, 'SIGSTOP')
  return {
    pid: dump.pid,
    resume: () => process.kill(dump.pid, 'SIGCONT'),
    kill: () => process.kill(dump.pid, 'SIGKILL'),
  }
}
