import { rename, writeFile } from 'node:fs/promises'
import type { Cluster } from '../cluster/start.ts'
import type { Api } from './api.ts'
import { withConnection } from './connect.ts'
import type { Folder } from './folder.ts'
import { followJob } from './follow-job.ts'
import { counted } from './format.ts'
import type { Step, Terminal } from './terminal.ts'

/** What the time-lapse is told with. */
export interface TimeLapse {
  api: Api
  terminal: Terminal
  folder: Folder
  server: Cluster
  weeks: number
  signal: AbortSignal
}

interface Instance {
  nextBackupAt: string
  expiryDueAt: string | null
}

interface Point {
  createdAt: string
  tag: string
  expiresAt: string
  keptBecause: string[]
  databases: { name: string; rowCount: number }[]
}

interface ExpectedPoint {
  createdAt: string
  tag: string
}

/** When the time-lapse begins: everything after it happens as fast as backups run. */
export const firstMoment = new Date('2024-01-03T12:00:00Z')
const database = 'diary'
const secondMs = 1000
const afterGraceMs = 2 * 3600 * secondMs

/** Sets the service's test clock, in one step: it is read at any moment. */
export async function setClock(folder: Folder, to: Date): Promise<void> {
  const next = `${folder.clock}.next`
  await writeFile(next, `${to.toISOString()}\n`)
  await rename(next, folder.clock)
}

/**
 * Lets a weekly policy with monthly and yearly rules run for weeks of the service's own time, with a real backup each week and
 * real removals, and shows what is kept then and why; answers what was proved.
 */
export async function tellTimeLapse(lapse: TimeLapse): Promise<string[]> {
  const policy = await createPolicy(lapse)
  const instance = await protect(lapse, policy)
  const end = await letTimePass(lapse, instance)
  const points = await showKept(lapse, instance)
  return compareWithPreview(lapse, { policy, end, points })
}

async function createPolicy({ api, terminal }: TimeLapse): Promise<string> {
  return terminal.step('Create a policy: weekly, kept 5 weeks, 12 months, 10 years', async (step) => {
    const { policy } = await api.command<{ policy: { id: string; scheduleDescription: string } }>(
      'createPolicy',
      {
        name: 'Weekly, monthly, yearly',
        timeZone: 'Europe/Berlin',
        schedule: { weekly: { weekdays: ['SUNDAY'], times: ['02:30'], spreadMinutes: 0 } },
        defaultRetention: 'P7D',
        retentionRules: [
          { tag: 'WEEKLY', duration: 'P35D' },
          { tag: 'MONTHLY', duration: 'P1Y' },
          { tag: 'YEARLY', duration: 'P10Y' },
        ],
      },
      'policy { id scheduleDescription }',
    )
    step.detail(policy.scheduleDescription)
    return policy.id
  })
}

async function protect({ api, terminal, folder, server, signal }: TimeLapse, policy: string): Promise<string> {
  return terminal.step('Protect a server with a diary in it', async (step) => {
    await run(server, 'postgres', `create database ${database}`, signal)
    await run(server, database, 'create table weeks (week integer primary key)', signal)
    const { vault } = await api.command<{ vault: { id: string } }>(
      'createVault',
      { name: 'Time-lapse vault', location: { directory: folder.vault } },
      'vault { id }',
    )
    const { host, port, superuser: username, password } = server
    const registered = await api.command<{ server: { id: string } }>(
      'registerServer',
      { name: 'Diary', host, port, username, password, tlsMode: 'DISABLE' },
      'server { id }',
    )
    const { backupInstance, job } = await api.command<{ backupInstance: { id: string }; job: { id: string } }>(
      'configureProtection',
      { server: registered.server.id, vault: vault.id, policy },
      'backupInstance { id } job { id }',
    )
    await followJob(api, job.id, step)
    return backupInstance.id
  })
}

/** Moves the clock from one start to the next, and waits for each backup to complete; answers the moment it ends at. */
async function letTimePass(lapse: TimeLapse, instance: string): Promise<Date> {
  const { api, terminal, folder, server, weeks, signal } = lapse
  return terminal.step(`Let ${counted(weeks, 'week')} pass: a real backup each, real removals`, async (step) => {
    let now = firstMoment
    for (let week = 1; week <= weeks; week++) {
      await run(server, database, `insert into weeks values (${week})`, signal)
      const { nextBackupAt } = await readInstance(api, instance)
      now = new Date(Date.parse(nextBackupAt) + secondMs)
      await setClock(folder, now)
      await backupDone(api, instance, nextBackupAt)
      step.progress({ fraction: week / weeks, text: now.toISOString().slice(0, 10) })
    }
    // Once to choose what has expired by now, once more to remove what was chosen when its grace is over.
    for (const _ of ['choose', 'remove']) {
      now = new Date(now.getTime() + afterGraceMs)
      await setClock(folder, now)
      await expiryDone(api, instance, { now, step })
    }
    return now
  })
}

/** Resolves when the backup of that start has completed; throws, with what Holdfast says about it, when it does not. */
async function backupDone(api: Api, instance: string, startedAt: string): Promise<void> {
  const changes = api.watch<{ backupInstanceChanged: { lastBackup: Backup | null } }>(
    `subscription ($id: ID!) {
      backupInstanceChanged(id: $id) { lastBackup { status createdAt error { code message } } }
    }`,
    { id: instance },
  )
  for await (const { backupInstanceChanged } of changes) {
    const { lastBackup } = backupInstanceChanged
    if (!lastBackup || Date.parse(lastBackup.createdAt) < Date.parse(startedAt)) continue
    if (lastBackup.status.startsWith('COMPLETED')) return
    if (lastBackup.error) throw new Error(`The backup of ${startedAt} failed: ${lastBackup.error.message}`)
  }
  throw new Error('The subscription ended before the backup did.')
}

interface Backup {
  status: string
  createdAt: string
  error: { code: string; message: string } | null
}

/** Resolves when nothing is left to be removed now. */
async function expiryDone(api: Api, instance: string, { now, step }: { now: Date; step: Step }): Promise<void> {
  const changes = api.watch<{ backupInstanceChanged: Instance & { jobs: { nodes: { status: string }[] } } }>(
    `subscription ($id: ID!) {
      backupInstanceChanged(id: $id) { nextBackupAt expiryDueAt jobs(first: 5) { nodes { status } } }
    }`,
    { id: instance },
  )
  for await (const { backupInstanceChanged } of changes) {
    const { expiryDueAt, jobs } = backupInstanceChanged
    const isIdle = jobs.nodes.every(({ status }) => !['QUEUED', 'IN_PROGRESS', 'CANCELLING'].includes(status))
    if (isIdle && (expiryDueAt === null || Date.parse(expiryDueAt) > now.getTime())) return
    step.progress({ fraction: 1, text: 'what has expired is being removed' })
  }
}

async function showKept({ api, terminal, weeks }: TimeLapse, instance: string): Promise<Point[]> {
  return terminal.step('Look at what is kept, and why', async (step) => {
    const { recoveryPoints } = await api.ask<{ recoveryPoints: { nodes: Point[] } }>(
      `query ($instance: ID!) {
        recoveryPoints(filter: { instance: $instance }, first: 100) {
          nodes { createdAt tag expiresAt keptBecause databases { name rowCount } }
        }
      }`,
      { instance },
    )
    const points = recoveryPoints.nodes
    step.detail('made          kept as  until        holds       because')
    for (const { createdAt, tag, expiresAt, keptBecause, databases } of points) {
      const rows = databases.find(({ name }) => name === database)?.rowCount ?? 0
      const parts = [
        createdAt.slice(0, 10),
        '  ',
        tag.padEnd(8),
        expiresAt.slice(0, 10),
        `  ${counted(rows, 'week')}`.padEnd(12),
      ]
      step.detail(`${parts.join(' ')}${keptBecause.join(', ')}`)
    }
    step.detail(`${counted(points.length, 'recovery point')} of ${weeks}`)
    return points
  })
}

/** What the policy's preview says would be kept at the end has to be what is kept. */
async function compareWithPreview(
  { api, terminal }: TimeLapse,
  { policy, end, points }: { policy: string; end: Date; points: Point[] },
): Promise<string[]> {
  return terminal.step("Compare with the policy's preview", async () => {
    const days = Math.ceil((end.getTime() - firstMoment.getTime()) / (24 * 3600 * secondMs))
    const { previewPolicy } = await api.ask<{ previewPolicy: { on: ExpectedPoint[] } }>(
      `query ($input: PreviewPolicyInput!, $end: DateTime!) {
        previewPolicy(input: $input) { on(date: $end) { createdAt tag } }
      }`,
      {
        input: { policy: { id: policy }, start: firstMoment.toISOString(), horizon: `P${days}D` },
        end: end.toISOString(),
      },
    )
    const told = (each: ExpectedPoint) => `${each.createdAt.slice(0, 16)} ${each.tag}`
    const expected = previewPolicy.on.map(told).sort()
    const kept = points.map(told).sort()
    if (expected.join('\n') !== kept.join('\n')) {
      throw new Error(`Kept:\n${kept.join('\n')}\nForeseen:\n${expected.join('\n')}`)
    }
    return [`What is kept is what the preview of the policy had foreseen: ${counted(kept.length, 'recovery point')}.`]
  })
}

async function readInstance(api: Api, id: string): Promise<Instance> {
  const { backupInstance } = await api.ask<{ backupInstance: Instance }>(
    'query ($id: ID!) { backupInstance(id: $id) { nextBackupAt expiryDueAt } }',
    { id },
  )
  return backupInstance
}

async function run(server: Cluster, name: string, statement: string, signal: AbortSignal): Promise<void> {
  await withConnection(server, { database: name, signal }, (sql) => sql.unsafe(statement))
}
