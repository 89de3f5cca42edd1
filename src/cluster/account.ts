import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Who runs a server's programs: ourselves, or an unprivileged user when we are root. */
export interface Account {
  /** Absent: ourselves. */
  user?: { name: string; uid: number; gid: number }
  /** The one capability kept so that the user passes folders only root may enter; absent when there is no need. */
  capability?: 'dac_read_search' | 'dac_override'
}

/** A program with its arguments as to be spawned, and the identity for spawn itself to change to. */
export interface Launch {
  command: string
  args: string[]
  identity: { uid?: number; gid?: number }
}

/**
 * Chooses the user that runs a server: ourselves, or, for root, the owner of existing data, else "postgres", else "nobody".
 * PostgreSQL refuses to run as root.
 */
export async function chooseAccount(dataDir: string): Promise<Account> {
  if (process.getuid?.() !== 0) return {}
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  const users = lines.map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
  const owner = await stat(`${dataDir}/PG_VERSION`).then(
    ({ uid, gid }) => ({ name: users.find((user) => user.uid === uid)?.name ?? `user ${uid}`, uid, gid }),
    () => undefined,
  )
  if (owner && owner.uid !== 0) return { user: owner }
  const user = users.find(({ name }) => name === 'postgres') ?? users.find(({ name }) => name === 'nobody')
  if (!user)
    throw new Error(
      'PostgreSQL refuses to run as root: add a user named "postgres" for it (useradd --system postgres).',
    )
  return { user }
}

/**
 * The account, able to enter the folders. Where a parent folder bars the user, such as one in /root, the user keeps the
 * capability of passing it; throws, naming the folder, where that cannot be had.
 */
export async function reachingAccount(account: Account, folders: string[]): Promise<Account> {
  if (!account.user || (await canEnter(account, folders))) return account
  for (const capability of ['dac_read_search', 'dac_override'] as const) {
    const able = { ...account, capability }
    if (await canEnter(able, folders)) return able
  }
  const barred = await barringFolder(account.user, folders)
  throw new Error(
    `PostgreSQL runs as "${account.user.name}", who cannot enter ${barred}: choose a folder outside of it, or allow it with "chmod o+x ${barred}".`,
  )
}

/** How to spawn a program as the account. */
export function launchAs({ user, capability }: Account, command: string, args: string[]): Launch {
  if (!user) return { command, args, identity: {} }
  if (!capability) return { command, args, identity: { uid: user.uid, gid: user.gid } }
  const caps = `-all,+${capability}`
  // Without the secure bit access(2), with which the programs look for each other, would not count the capability.
  const become = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--securebits=+no_setuid_fixup']
  return {
    command: 'setpriv',
    args: [...become, `--inh-caps=${caps}`, `--ambient-caps=${caps}`, '--', command, ...args],
    identity: {},
  }
}

async function canEnter(account: Account, folders: string[]): Promise<boolean> {
  const { command, args, identity } = launchAs(account, '/bin/sh', [
    '-c',
    'for folder; do cd "$folder" || exit 1; done',
    'sh',
    ...folders,
  ])
  return run(command, args, { ...identity, cwd: '/' }).then(
    () => true,
    () => false,
  )
}

async function barringFolder({ uid, gid }: { uid: number; gid: number }, folders: string[]): Promise<string> {
  for (const folder of folders) {
    for (const parent of parents(folder)) {
      const { mode, uid: owner, gid: group } = await stat(parent)
      const mask = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001
      if (!(mode & mask)) return parent
    }
  }
  return folders.join(' or ')
}

function parents(folder: string): string[] {
  const above = dirname(folder)
  return above === folder ? [folder] : [...parents(above), folder]
}
