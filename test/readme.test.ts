import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import { type Api, connectApi } from '../src/demo/api.ts'
import { withConnection } from '../src/demo/connect.ts'
import { claimFolder } from '../src/demo/folder.ts'
import { choosePort, startHoldfast } from '../src/demo/processes/holdfast.ts'
import { readSettings } from '../src/settings.ts'
import { selfRestoreText } from '../src/storage/self-restore.ts'
import { installedMajor, programsOf } from './kit/postgres-programs.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')

describe('the README', { timeout: 120_000 }, () => {
  test('lets a newcomer protect and restore a server, step by step', async ({ folder }) => {
    const { signal } = new AbortController()
    await using source = await newcomersServer()
    await using place = await claimFolder(join(folder, 'readme'))
    const port = await choosePort(0, { mayMove: true })
    const postgresDirectory = await programsOf(await installedMajor())
    await using holdfast = await startHoldfast(place, { port, postgresDirectory, signal })
    await using api = connectApi(holdfast.url, signal)
    const here = { '/backups/main': join(folder, 'vault'), '/restored/orders': join(folder, 'restored') }
    const address = { 'db.example.org': source.host, 'port: 5432': `port: ${source.port}`, VERIFY_FULL: 'DISABLE' }

    const vault = idOf((await does(api, 'createVault', here)).vault)
    const { recoveryKey } = await does(api, 'exportRecoveryKey', { "<the vault's id>": vault })
    expect(recoveryKey).toMatch(/^AGE-SECRET-KEY-1/)
    const server = idOf((await does(api, 'registerServer', address)).server)
    const ids = { "<the server's id>": server, "<the vault's id>": vault }
    const { backupInstance, job } = await does(api, 'configureProtection', ids)
    expect(await ends(api, job)).toMatchObject({ status: 'COMPLETED', error: null })

    const backUp = await does(api, 'backUpNow', { "<the backup instance's id>": idOf(backupInstance) })
    expect(await ends(api, backUp.job)).toMatchObject({ status: 'COMPLETED', error: null })
    const { recoveryPoints } = await api.ask<{ recoveryPoints: { nodes: { id: string; databases: unknown[] }[] } }>(
      block('graphql', 'recoveryPoints {'),
    )
    const point = idOf(recoveryPoints.nodes[0])
    expect(recoveryPoints.nodes[0]?.databases).toContainEqual({ name: 'orders', tableCount: 1, rowCount: 1000 })

    const { policy } = await does(api, 'createPolicy', {})
    const following = { "<the backup instance's id>": idOf(backupInstance), "<the policy's id>": idOf(policy) }
    const previewed = block('graphql', 'previewPolicy').replace("<the policy's id>", idOf(policy))
    const { previewPolicy } = await api.ask<{ previewPolicy: { maxPointCount: number } }>(previewed)
    expect(previewPolicy.maxPointCount).toBeGreaterThan(50)
    const changed = await does(api, 'changePolicy', following)
    expect(changed.backupInstance).toMatchObject({ policy: { name: 'Nightly' }, nextBackupAt: expect.any(String) })
    const dashboard = await api.ask<{ all: { nodes: unknown[] } }>(block('graphql', 'jobSummary'))
    expect(dashboard.all.nodes).toMatchObject([{ state: 'PROTECTION_CONFIGURED', isOverdue: false }])
    const stopped = await does(api, 'stopProtection', following)
    expect(stopped.effects).toMatchObject({ keptForever: { count: 1 }, removed: { count: 0 } })
    const channel = await does(api, 'createNotificationChannel', {})
    expect(channel.signingSecret).toEqual(expect.any(String))

    const holds = block('graphql', 'contents {').replace('"shop"', '"orders"')
    const { recoveryPoint } = await api.ask<{ recoveryPoint: { contents: unknown } }>(holds, { point })
    expect(recoveryPoint.contents).toMatchObject({
      database: { tables: { nodes: [{ name: 'orders', rowCount: 1000 }] } },
    })
    const asFiles = await does(api, 'restoreAsFiles', { ...here, '<its id>': point })
    expect(await ends(api, asFiles.job)).toMatchObject({ status: 'COMPLETED', error: null })
    const superuser = { username: source.superuser, password: source.password }
    await api.command('updateServerCredentials', { server, ...superuser }, 'server { id }')
    const asked = await does(api, 'validateRestore', { '<its id>': point, "<the target's id>": server })
    expect(await ends(api, asked.job)).toMatchObject({ error: null })
    const answered = block('graphql', 'restoreValidation').replace("<the job's id>", idOf(asked.job))
    const { job: validation } = await api.ask<{ job: unknown }>(answered)
    // "orders" is there: that is what it says, before anybody has tried.
    expect(validation).toMatchObject({
      status: 'COMPLETED_WITH_WARNINGS',
      restoreValidation: {
        isRestorable: false,
        checks: expect.arrayContaining([expect.objectContaining({ status: 'PROBLEM', code: 'TARGET_NOT_EMPTY' })]),
      },
    })
    const toServer = await does(api, 'restoreToServer', { '<its id>': point, "<the target's id>": server })
    expect(await ends(api, toServer.job)).toMatchObject({ status: 'COMPLETED', error: null })
    const counted = await asSuperuser(source, 'orders_restored', 'select count(*)::int from orders')
    expect(counted).toMatchObject([{ count: 1000 }])

    const exports = { '/exports': join(folder, 'exports'), "<the vault's id>": vault }
    const account = idOf((await does(api, 'createStorageAccount', exports)).storageAccount)
    const created = await does(api, 'createStorageContainer', { "<the account's id>": account })
    const intoContainer = block('graphql', "<the container's id>")
      .replace('<its id>', point)
      .replace("<the container's id>", idOf(created.storageContainer))
    const { restoreAsFiles } = await api.ask<{ restoreAsFiles: { job: unknown } }>(intoContainer)
    expect(await ends(api, restoreAsFiles.job)).toMatchObject({ status: 'COMPLETED', error: null })
    expect(await readFile(join(folder, 'exports', 'orders', '2026-11-28', 'manifest.json'), 'utf8')).toContain(
      '"orders"',
    )
  })

  test('shows the steps that lie in every vault, word for word', () => {
    const steps = selfRestoreText({ vaultId: 'any', recipient: 'any' })
    const parts = steps.slice(steps.indexOf("You need the vault's recovery key")).split(/^## /m)
    expect(parts).toHaveLength(8)
    for (const part of parts) expect(readme).toContain(part.trim())
  })

  test('lists every setting with its default', async () => {
    const source = await readFile(new URL('../src/settings.ts', import.meta.url), 'utf8')
    const names = new Set(source.match(/(?<=')(HOLDFAST_[A-Z_]+|DATABASE_URL)(?=')/g))
    const listed = new Map(
      [...readme.matchAll(/^\| `(HOLDFAST_[A-Z_]+|DATABASE_URL)` \| `?(.*?)`? \|/gm)].map(([, name, value]) => [
        name,
        value,
      ]),
    )
    expect([...listed.keys()].sort()).toEqual([...names].sort())

    const defaults = readSettings({})
    const shown = {
      HOLDFAST_HOST: defaults.host,
      HOLDFAST_PORT: defaults.port,
      HOLDFAST_ROLE: defaults.role,
      HOLDFAST_CONCURRENCY: defaults.concurrency,
      HOLDFAST_CONCURRENCY_PER_SERVER: defaults.concurrencyPerServer,
      HOLDFAST_CONCURRENCY_PER_VAULT: defaults.concurrencyPerVault,
      HOLDFAST_LEASE_SECONDS: defaults.leaseMs / 1000,
      HOLDFAST_LOCK_WAIT_SECONDS: defaults.lockWaitMs / 1000,
      HOLDFAST_JOB_CEILING_MINUTES: defaults.jobCeilingMs / 60_000,
      HOLDFAST_NO_PROGRESS_SECONDS: defaults.noProgressMs / 1000,
      HOLDFAST_REMOVAL_GRACE_MINUTES: defaults.removalGraceMs / 60_000,
      HOLDFAST_RESTORE_JOBS: defaults.restoreJobs,
      HOLDFAST_METADATA_BACKUP_HOURS: defaults.metadataBackupMs / 3_600_000,
      HOLDFAST_METADATA_KEY_FILE: defaults.metadataHasKeyFile,
      HOLDFAST_RETENTION_MIN_DAYS: defaults.retentionLimits.minDays,
      HOLDFAST_RETENTION_MAX_DAYS: defaults.retentionLimits.maxDays,
      HOLDFAST_WEBHOOK_ALLOW_HTTP: defaults.allowHttpWebhooks,
      HOLDFAST_LOG_LEVEL: defaults.logLevel,
    }
    for (const [name, value] of Object.entries(shown)) expect([name, listed.get(name)]).toEqual([name, String(value)])
  })
})

/** A server with all that may need more than the usual grants, and the role that the README makes for it. */
async function newcomersServer(): Promise<Cluster> {
  const server = await sourceServer()
  await asSuperuser(server, 'postgres', 'create database orders')
  await asSuperuser(server, 'postgres', 'create database private')
  await asSuperuser(server, 'postgres', 'revoke connect on database private from public')
  await asSuperuser(server, 'private', "select lo_from_bytea(0, 'a later photograph')")
  await asSuperuser(
    server,
    'orders',
    `create table orders (id int primary key); insert into orders select generate_series(1, 1000);
     alter table orders enable row level security; select lo_from_bytea(0, 'a photograph')`,
  )
  await asSuperuser(server, 'postgres', block('sql', 'CREATE ROLE'))
  await asSuperuser(server, 'postgres', inline('GRANT CONNECT ON DATABASE').replace('…', 'private'))
  const grants = await asSuperuser(server, 'orders', block('sql', 'pg_largeobject_metadata').replace('\\gexec', ''))
  for (const { format } of grants) await asSuperuser(server, 'orders', format)
  await asSuperuser(
    server,
    'postgres',
    inline('ALTER ROLE holdfast_backup SET').replace(' SET', ' IN DATABASE private SET'),
  )
  return server
}

async function asSuperuser(server: Cluster, database: string, statements: string) {
  return withConnection(server, { database, signal: new AbortController().signal }, (sql) => sql.unsafe(statements))
}

/** The README's code block of a language that holds a text. */
function block(language: string, text: string): string {
  const blocks = [...readme.matchAll(/^ *```(\w+)\n(.*?)^ *```$/gms)]
  const found = blocks.find(([, its, code]) => its === language && code?.includes(text))?.[2]
  if (found === undefined) throw new Error(`The README has no ${language} block with "${text}".`)
  return found
}

/** The README's first inline code that begins with a text. */
function inline(start: string): string {
  const found = [...readme.matchAll(/`([^`\n]+)`/g)].find(([, code]) => code?.startsWith(start))?.[1]
  if (found === undefined) throw new Error(`The README has no code that begins with "${start}".`)
  return found
}

/** Runs the README's own mutation with the values put in, and answers its payload. */
async function does(api: Api, mutation: string, values: Record<string, string>): Promise<Record<string, unknown>> {
  let text = block('graphql', `${mutation}(`)
  for (const [placeholder, value] of Object.entries(values)) text = text.replaceAll(placeholder, value)
  const answer = await api.ask<Record<string, Record<string, unknown>>>(text)
  const payload = answer[mutation] ?? {}
  expect(payload).not.toHaveProperty('recommendedActions')
  return payload
}

/** Watches a job by the README's own subscription; answers its last state. */
async function ends(api: Api, job: unknown): Promise<unknown> {
  const text = block('graphql', 'jobChanged').replace("<the job's id>", idOf(job))
  let last: unknown
  for await (const { jobChanged } of api.watch<{ jobChanged: unknown }>(text, {})) last = jobChanged
  return last
}

function idOf(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'id' in value) return String(value.id)
  throw new Error(`No id in ${JSON.stringify(value)}.`)
}
