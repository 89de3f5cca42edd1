import { chooseDumpTools } from '../engine/choose-tools.ts'
import { findTools } from '../engine/find-tools.ts'
import { inspectServer } from '../engine/inspect.ts'
import type { JobRun } from '../job/handler.ts'
import type { PostgresServer } from '../server/server.ts'
import type { WorkerContext } from './context.ts'
import { addressOf } from './subjects.ts'
import { refuseUnreadable } from './unreadable.ts'

/** Tries for real what backups of a server need: that it answers, can be read in full, and that there are tools for it. */
export async function checkServer(
  context: WorkerContext,
  run: JobRun,
  server: PostgresServer,
): Promise<{ versionNumber: number }> {
  const { signal } = run
  const report = await run.subTask('Inspect the server', () =>
    inspectServer(addressOf(server, context.secrets), { signal }),
  )
  run.note('Server', report.version)
  run.note('Databases', report.databases.map(({ name }) => JSON.stringify(name)).join(', '))
  await run.subTask('Check the rights to read everything', async () => refuseUnreadable(report))
  await run.subTask('Choose the PostgreSQL tools', async () => {
    const toolsets = await findTools({ extraDirectories: context.postgresDirectories })
    run.note('PostgreSQL tools', chooseDumpTools(toolsets, report.versionNumber).reason)
  })
  return report
}
