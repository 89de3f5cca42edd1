import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { embeddedBinaries } from '../../cluster/binaries.ts'
import { programEnvironment } from '../../cluster/initialise.ts'
import type { Toolset } from '../../engine/find-tools.ts'
import { WorkFailed } from '../failure.ts'

const run = promisify(execFile)

/** Where initdb and postgres of one version are. */
export interface ServerPrograms {
  major: number
  version: string
  binDir: string
}

/**
 * Chooses the server that a point is restored into for its proof: of the source's major version, else the next newer one
 * found, beside the tools or in Holdfast's own package. Throws SCRATCH_SERVER_MISSING, naming what to install.
 */
export async function chooseScratchPrograms(
  toolsets: readonly Toolset[],
  sourceMajor: number,
): Promise<ServerPrograms> {
  const embedded = await embeddedBinaries().catch(() => undefined)
  const directories = [...toolsets.map(({ directory }) => directory), ...(embedded === undefined ? [] : [embedded])]
  const found = (await Promise.all(directories.map(programsIn))).flatMap((programs) => programs ?? [])
  // Those beside the tools come first: they have the extensions that were installed with them.
  const [chosen] = found.filter(({ major }) => major >= sourceMajor).toSorted((one, other) => one.major - other.major)
  if (chosen) return chosen
  const list = found.map(({ version }) => version).join(', ')
  throw new WorkFailed(
    'SCRATCH_SERVER_MISSING',
    `The source is PostgreSQL ${sourceMajor}: initdb and postgres of version ${sourceMajor} or newer are needed; ${list === '' ? 'none were' : `only ${list} were`} found.`,
  )
}

async function programsIn(binDir: string): Promise<ServerPrograms | undefined> {
  const postgres = join(binDir, 'postgres')
  try {
    await Promise.all([access(join(binDir, 'initdb'), constants.X_OK), access(postgres, constants.X_OK)])
    const { stdout } = await run(postgres, ['--version'], { env: programEnvironment, timeout: 10_000 })
    const version = /\(PostgreSQL\) (\d\S*)/.exec(stdout)?.[1]
    return version === undefined ? undefined : { major: Number.parseInt(version, 10), version, binDir }
  } catch {
    return undefined
  }
}
