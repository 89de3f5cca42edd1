import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Account, chooseAccount, launchAs, reachingAccount } from './account.ts'

const run = promisify(execFile)

/** It takes a second or two; on the slowest of disks some more. */
const initdbMs = 300_000

/** All of the environment that PostgreSQL's programs get: nothing of ours, so no PG* variable and no secret. */
export const programEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
}

export interface Initialise {
  binDir: string
  dataDir: string
  superuser: string
  password: string
  /** A stopped data directory to copy instead of running initdb; its superuser and password hold. */
  template?: string | undefined
  signal?: AbortSignal | undefined
}

/**
 * Makes a data directory that can be started: a new one (scram-sha-256, UTF-8, checksums) where it is missing or empty,
 * else the one there, given to the user that will run it. Answers that user. A directory is whole or not there, whenever
 * this is interrupted.
 */
export async function initialiseCluster(options: Initialise): Promise<Account> {
  const { binDir, dataDir } = options
  await mkdir(dataDir, { recursive: true })
  const isEmpty = (await readdir(dataDir)).length === 0
  if (!isEmpty) await refuseOther(dataDir)
  const chosen = await chooseAccount(dataDir)
  await makePrivate(chosen, dataDir)
  const account = await reachingAccount(chosen, [binDir, dataDir])
  if (isEmpty) await create(account, options)
  else await adopt(account, dataDir)
  return account
}

/** Made beside the directory, in a folder that the next start removes when this one is killed: it may hold the password. */
async function create(account: Account, options: Initialise): Promise<void> {
  const partial = `${options.dataDir}.partial`
  await rm(partial, { recursive: true, force: true })
  await mkdir(partial)
  await makePrivate(account, partial)
  const dataDir = join(partial, 'data')
  try {
    if (options.template) await copyTemplate(account, options.template, dataDir)
    else await initdb(account, { ...options, dataDir, passwordFile: join(partial, 'password') })
    await rename(dataDir, options.dataDir)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

async function makePrivate({ user }: Account, folder: string): Promise<void> {
  if (user) await chown(folder, user.uid, user.gid)
  await chmod(folder, 0o700)
}

/** What is not PostgreSQL's keeps its owner and its mode. */
async function refuseOther(dataDir: string): Promise<void> {
  const version = await stat(join(dataDir, 'PG_VERSION')).catch(() => undefined)
  if (!version) throw new Error(`${dataDir} is not empty and holds no PostgreSQL data.`)
}

async function adopt({ user }: Account, dataDir: string): Promise<void> {
  const version = await stat(join(dataDir, 'PG_VERSION'))
  const { uid, gid } = user ?? { uid: process.getuid?.(), gid: process.getgid?.() }
  if (uid === undefined || version.uid === uid) return
  if (!user) {
    throw new Error(`${dataDir} belongs to another user: run as that user or as root, or "chown -R ${uid} ${dataDir}".`)
  }
  await run('chown', ['-R', `${uid}:${gid}`, dataDir])
}

async function copyTemplate({ user }: Account, template: string, dataDir: string): Promise<void> {
  await mkdir(dataDir)
  await run('cp', ['-R', `${template}/.`, dataDir])
  if (user) await run('chown', ['-R', `${user.uid}:${user.gid}`, dataDir])
  await run('chmod', ['-R', 'u=rwX,go=', dataDir])
}

async function initdb(
  account: Account,
  { binDir, dataDir, superuser, password, passwordFile, signal }: Initialise & { passwordFile: string },
): Promise<void> {
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  if (account.user) await chown(passwordFile, account.user.uid, account.user.gid)
  const { command, args, identity } = launchAs(account, join(binDir, 'initdb'), [
    `--pgdata=${dataDir}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--data-checksums',
    ...((await majorOf(account, binDir)) >= 17
      ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      : ['--no-locale']),
  ])
  try {
    await run(command, args, { ...identity, env: programEnvironment, timeout: initdbMs, ...(signal && { signal }) })
  } catch (cause) {
    throw new Error(`initdb failed: ${saidBy(cause)}`, { cause })
  } finally {
    await rm(passwordFile, { force: true })
  }
}

async function majorOf(account: Account, binDir: string): Promise<number> {
  const { command, args, identity } = launchAs(account, join(binDir, 'postgres'), ['--version'])
  const { stdout } = await run(command, args, { ...identity, env: programEnvironment })
  return Number(/\d+/.exec(stdout)?.[0])
}

function saidBy(cause: unknown): string {
  const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : ''
  return said === '' ? String(cause) : said
}
