import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import postgres from 'postgres'
import type { Cluster } from '../../src/cluster/start.ts'
import type { Database } from '../../src/database/connect.ts'
import { backUpNow } from '../../src/instance/back-up-now.ts'
import type { RecoveryPoint } from '../../src/recovery-point/recovery-point.ts'
import { createStorageAccount } from '../../src/storage-account/create.ts'
import { createStorageContainer } from '../../src/storage-account/create-container.ts'
import type { NetworkRules } from '../../src/storage-account/network-rules.ts'
import type { StorageAccount, StorageContainer } from '../../src/storage-account/storage-account.ts'
import type { NewLocation } from '../../src/vault/location.ts'
import { findRecoveryPointsOf } from './points.ts'
import { installedMajor, programsOf } from './postgres-programs.ts'
import { actor, type Protected, protect, type Service } from './protected-server.ts'
import type { S3Server } from './s3-server.ts'

/** A database's name that holds whatever could be taken for something else. */
export const nastyName = `host=x port=1 "quoted" 'single' $HOME %s\n-é;`

const open: NetworkRules = { publicNetworkAccess: 'ENABLED', allowTrustedServices: true, resourceInstanceIds: [] }

/** A storage account, open to every vault unless rules are given, with a container named "restored". */
export async function addAccount(
  { database, secrets }: Pick<Service, 'database' | 'secrets'>,
  location: NewLocation,
  rules: Partial<NetworkRules> = {},
): Promise<{ account: StorageAccount; container: StorageContainer }> {
  const asked = { actor, now: new Date() }
  const name = `account ${crypto.randomUUID()}`
  const account = await createStorageAccount(database, {
    name,
    location,
    rules: { ...open, ...rules },
    secrets,
    ...asked,
  })
  const container = await createStorageContainer(database, {
    storageAccountId: account.id,
    name: 'restored',
    ...asked,
  })
  return { account, container }
}

/** The place of an account in a folder of a test's store. */
export function bucketOf(store: S3Server): NewLocation {
  return { ...store.location({ prefix: 'exports' }), endpoint: store.endpoint }
}

/** Protects a server and takes one recovery point of it. */
export async function backedUp(
  service: Service,
  source: Cluster,
  folder: string,
): Promise<Protected & { point: RecoveryPoint }> {
  const made = await protect(service, source, folder)
  const job = await backUpNow(service.database, { instanceId: made.instance.id, actor, now: new Date() })
  const ended = await service.ended(job.id)
  if (ended.error) throw new Error(JSON.stringify(ended.error))
  return { ...made, point: await onlyPointOf(service.database, made.instance.id) }
}

async function onlyPointOf(database: Database, instanceId: string): Promise<RecoveryPoint> {
  const [point] = await findRecoveryPointsOf(database, instanceId)
  if (!point) throw new Error('There is no recovery point.')
  return point
}

/** The shell blocks of a RESTORE.md, but for the one that says where to load. */
export function blocksOf(text: string): string {
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)]
    .map(([, block]) => block)
    .slice(1)
    .join('\n')
}

/** Pastes commands into a shell of a person who has PostgreSQL's programs, in the folder of the files. */
export async function paste(target: Cluster, folder: string, commands: string): Promise<void> {
  await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', commands], {
    cwd: folder,
    env: {
      PATH: `${await programsOf(await installedMajor())}:${process.env.PATH}`,
      PGHOST: target.host,
      PGPORT: String(target.port),
      PGUSER: target.superuser,
      PGPASSWORD: target.password,
    },
  })
}

/** Every row of every table of a database, digested, by the table's quoted name. */
export async function contentsOf(cluster: Cluster, database: string): Promise<Record<string, string>> {
  const { host, port, superuser: user, password } = cluster
  const sql = postgres({ host, port, user, password, database, max: 1, onnotice: () => {} })
  try {
    const tables = await sql<{ name: string }[]>`select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema') order by 1`
    const digests: [string, string][] = []
    for (const { name } of tables) {
      const [row] = await sql.unsafe<{ digest: string }[]>(
        `select count(*) || ':' || coalesce(md5(string_agg(t::text, E'\\n' order by t::text)), '') as digest from ${name} t`,
      )
      digests.push([name, row?.digest ?? ''])
    }
    return Object.fromEntries(digests)
  } finally {
    await sql.end()
  }
}
