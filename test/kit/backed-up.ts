import type { Cluster } from '../../src/cluster/start.ts'
import { backUpNow } from '../../src/instance/back-up-now.ts'
import type { JobRow } from '../../src/job/states.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import type { DatabaseMapping, Ownership, RestorePart } from '../../src/restore/restore.ts'
import { restoreToServer } from '../../src/restore/to-server.ts'
import { connect } from './engine.ts'
import { findRecoveryPointsOf } from './points.ts'
import { actor, protect, register, type Service } from './protected-server.ts'

/** A recovery point of a server as it is now, in a new vault. */
export async function backedUp(service: Service, source: Cluster, folder: string): Promise<RecoveryPoint> {
  const { instance } = await protect(service, source, folder)
  const job = await backUpNow(service.database, { instanceId: instance.id, actor, now: new Date() })
  const ended = await service.ended(job.id)
  const [point] = await findRecoveryPointsOf(service.database, instance.id)
  if (!point) throw new Error(JSON.stringify(ended.error))
  return point
}

/** Starts a restore into a server, which is registered for it. */
export async function startRestore(
  service: Pick<Service, 'database' | 'secrets'>,
  {
    point,
    target,
    ...rest
  }: { point: RecoveryPoint; target: Cluster } & {
    databases?: DatabaseMapping[]
    ownership?: Ownership
    part?: RestorePart
  },
): Promise<JobRow> {
  const server = await register(service, target)
  return restoreToServer(service.database, {
    recoveryPointId: point.id,
    serverId: server.id,
    databases: null,
    ownership: { kind: 'KEEP' },
    actor,
    now: new Date(),
    ...rest,
  })
}

/** The databases of a server that are no templates, by name. */
export async function databasesOf(cluster: Cluster): Promise<string[]> {
  await using sql = connect(cluster)
  const rows = await sql<{ name: string }[]>`
    select datname as name from pg_database where not datistemplate and datname <> 'postgres' order by 1`
  return rows.map(({ name }) => name)
}
