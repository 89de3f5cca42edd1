import type { Writable } from 'node:stream'
import type { ServerAddress } from './address.ts'
import type { Toolset } from './find-tools.ts'
import { runServerTool } from './run-tool.ts'
import { openSession } from './session.ts'

/**
 * Writes the server's roles, without their passwords, and its tablespaces into the sink as SQL. The sink is ended when it
 * is whole, and destroyed otherwise. Throws an EngineError, the sink's own error, or the signal's reason.
 */
export async function dumpGlobals(
  address: ServerAddress,
  { tools, sink, signal }: { tools: Toolset; sink: Writable; signal: AbortSignal },
): Promise<void> {
  // pg_dumpall says no more than that it could not connect; this says why.
  await (await openSession(address, address.maintenanceDatabase, { signal }))[Symbol.asyncDispose]()
  await runServerTool(address, address.maintenanceDatabase, {
    tool: 'pg_dumpall',
    tools,
    what: 'Dumping roles and tablespaces',
    sink,
    signal,
    args: ['--globals-only', '--no-role-passwords', '--no-password', `--database=${conninfo(address)}`],
  })
}

// pg_dumpall dials "postgres" or "template1" unless told otherwise, and reads the name it is told as a connection string.
function conninfo({ maintenanceDatabase }: ServerAddress): string {
  return `dbname='${maintenanceDatabase.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
