import { access, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { embeddedBinaries } from '../../src/cluster/binaries.ts'
import { initialiseCluster } from '../../src/cluster/initialise.ts'

export const superuser = 'holdfast'
/** Known only to servers of the tests, which listen on loopback for as long as a test runs. */
export const password = 'correct horse: "battery" staple'

const cache = fileURLToPath(new URL('../../node_modules/.cache/holdfast-test', import.meta.url))
const homes = ['/usr/lib/postgresql', '/usr/local/lib/postgresql']

/** The programs of a PostgreSQL version: 18 is the embedded one, any other must be installed. */
export async function programsOf(major: number): Promise<string> {
  if (major === 18) return embeddedBinaries()
  for (const binDir of [...homes.map((home) => join(home, String(major), 'bin')), `/usr/pgsql-${major}/bin`]) {
    const isThere = await access(join(binDir, 'initdb')).then(
      () => true,
      () => false,
    )
    if (isThere) return binDir
  }
  throw new Error(`PostgreSQL ${major} is not installed.`)
}

/** The newest PostgreSQL that is installed, with every client program; the embedded one has none of those. */
export async function installedMajor(): Promise<number> {
  const found = await Promise.all(homes.map((home) => readdir(home).catch(() => [])))
  const majors = found
    .flat()
    .map(Number)
    .filter((major) => major > 0)
  if (majors.length === 0) throw new Error('No PostgreSQL is installed: run "node setup.mjs --for-tests".')
  return Math.max(...majors)
}

/** A data directory to copy instead of running initdb, made once for a version of the programs and kept between runs. */
export async function clusterTemplate(binDir: string): Promise<string> {
  const { mtimeMs } = await stat(join(binDir, 'initdb'))
  const name = [binDir.replaceAll('/', '_'), Math.round(mtimeMs), process.getuid?.() ?? 0].join('-')
  const template = join(cache, name)
  const isThere = await access(join(template, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
  if (isThere) return template
  const own = `${template}.${process.pid}`
  await mkdir(cache, { recursive: true })
  await initialiseCluster({ binDir, dataDir: own, superuser, password })
  // Another run may have been first: its template is as good.
  await rename(own, template).catch(() => rm(own, { recursive: true }))
  return template
}
