import { join } from 'node:path'
import { type Cluster, startCluster } from '../../src/cluster/start.ts'
import { clusterTemplate, installedMajor, password, programsOf, superuser } from './postgres-programs.ts'
import { temporaryFolder } from './temporary-folder.ts'

/**
 * A private PostgreSQL server, empty and running: a source to back up or a target to restore into. Gone with its data when
 * disposed of. 18 is the embedded version; the default is the newest installed one.
 */
export async function sourceServer(
  options: { major?: number; settings?: Record<string, string> } = {},
): Promise<Cluster> {
  const binDir = await programsOf(options.major ?? (await installedMajor()))
  const folder = await temporaryFolder()
  try {
    const cluster = await startCluster({
      binDir,
      dataDir: join(folder.path, 'data'),
      template: await clusterTemplate(binDir),
      superuser,
      password,
      // Nothing here outlives its test, so nothing needs to be durable.
      settings: { fsync: 'off', full_page_writes: 'off', ...options.settings },
    })
    const dispose = () => cluster.stop('immediate').finally(() => folder[Symbol.asyncDispose]())
    return { ...cluster, [Symbol.asyncDispose]: dispose }
  } catch (cause) {
    await folder[Symbol.asyncDispose]()
    throw cause
  }
}
