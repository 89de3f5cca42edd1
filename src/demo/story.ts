import type { Cluster } from '../cluster/start.ts'
import type { Api } from './api.ts'
import { compareServers } from './comparison/compare.ts'
import type { Folder } from './folder.ts'
import { followJob } from './follow-job.ts'
import { count, counted, size } from './format.ts'
import type { Programs } from './processes/programs.ts'
import { showRestoredFiles } from './restored-files.ts'
import { backupRole } from './sample/fill.ts'
import type { Terminal } from './terminal.ts'

/** What the story is told with. */
export interface Stage {
  api: Api
  terminal: Terminal
  folder: Folder
  programs: Programs
  sample: Cluster
  second: Cluster
  signal: AbortSignal
}

interface RecoveryPoint {
  id: string
  pointInTime: string
  proof: string
  sourceBytes: number
  storedBytes: number
  databases: { name: string; tableCount: number; rowCount: number }[]
}

/** Protects, backs up, verifies and restores through the API alone, and compares; answers what was proved. */
export async function tellStory(stage: Stage): Promise<string[]> {
  const { sample, second } = await registerServers(stage)
  const instance = await protect(stage, { server: sample.id, vault: sample.vault })
  await backUp(stage, instance)
  const point = await listRecoveryPoints(stage, instance)
  await verify(stage, point)
  await restoreToSecondServer(stage, { point, server: second.id })
  const proofs = await compare(stage)
  const archives = await restoreAsFiles(stage, point)
  return [...proofs, `${counted(archives, 'restored archive')} can be read by PostgreSQL's own pg_restore.`]
}

async function registerServers({ api, terminal, folder, sample, second }: Stage) {
  return terminal.step('Create a vault, register both servers', async (step) => {
    const { vault } = await api.command<{ vault: { id: string; recipient: string } }>(
      'createVault',
      { name: 'Demo vault', location: { directory: folder.vault } },
      'vault { id recipient }',
    )
    const register = (name: string, server: Cluster, account: { username: string; password: string }) =>
      api.command<{ server: { id: string } }>(
        'registerServer',
        { name, host: server.host, port: server.port, ...account, tlsMode: 'DISABLE' },
        'server { id }',
      )
    const source = await register('Sample shop', sample, backupRole)
    const target = await register('Second server', second, { username: second.superuser, password: second.password })
    step.detail(`Everything in the vault is sealed for ${vault.recipient.slice(0, 24)}…`)
    step.detail(`The sample server is read as \`${backupRole.username}\`, which may read everything and change nothing`)
    return { sample: { id: source.server.id, vault: vault.id }, second: { id: target.server.id } }
  })
}

async function protect({ api, terminal }: Stage, input: { server: string; vault: string }): Promise<string> {
  return terminal.step('Protect the sample server', async (step) => {
    const { backupInstance, job } = await api.command<{ backupInstance: { id: string }; job: { id: string } }>(
      'configureProtection',
      input,
      'backupInstance { id } job { id }',
    )
    await followJob(api, job.id, step)
    const { node } = await api.ask<{ node: { name: string; state: string; policy: { name: string } } }>(
      'query ($id: ID!) { node(id: $id) { ... on BackupInstance { name state policy { name } } } }',
      { id: backupInstance.id },
    )
    step.detail(`"${node.name}" is ${node.state} under policy "${node.policy.name}"`)
    return backupInstance.id
  })
}

async function backUp({ api, terminal }: Stage, instance: string): Promise<void> {
  await terminal.step('Back up now', async (step) => {
    const { job } = await api.command<{ job: { id: string } }>('backUpNow', { backupInstance: instance }, 'job { id }')
    await followJob(api, job.id, step)
    step.detail('Every byte was read back from the vault and its digest compared before the point counted')
  })
}

async function listRecoveryPoints({ api, terminal }: Stage, instance: string): Promise<string> {
  return terminal.step('List the recovery points', async (step) => {
    const { recoveryPoints } = await api.ask<{ recoveryPoints: { nodes: RecoveryPoint[] } }>(
      `query ($instance: ID!) {
        recoveryPoints(filter: { instance: $instance }) {
          nodes { id pointInTime proof sourceBytes storedBytes databases { name tableCount rowCount } }
        }
      }`,
      { instance },
    )
    for (const point of recoveryPoints.nodes) {
      step.detail(
        `${point.pointInTime} · proof ${point.proof} · ${size(point.sourceBytes)} kept in ${size(point.storedBytes)}`,
      )
      for (const { name, tableCount, rowCount } of point.databases) {
        step.detail(`  ${name.padEnd(16)} ${counted(tableCount, 'table')}, ${counted(rowCount, 'row')}`)
      }
    }
    const [newest] = recoveryPoints.nodes
    if (!newest) throw new Error('The backup completed, and there is no recovery point.')
    return newest.id
  })
}

async function verify({ api, terminal }: Stage, recoveryPoint: string): Promise<void> {
  await terminal.step('Prove it: restore it into a scratch server', async (step) => {
    const input = { recoveryPoint, level: 'RESTORED' }
    const { job } = await api.command<{ job: { id: string } }>('verifyRecoveryPoint', input, 'job { id }')
    await followJob(api, job.id, step)
    const { node } = await api.ask<{ node: { proof: string } }>(
      'query ($id: ID!) { node(id: $id) { ... on RecoveryPoint { proof } } }',
      { id: recoveryPoint },
    )
    if (node.proof !== 'RESTORED') throw new Error(`The verification completed, and the proof is ${node.proof}.`)
    step.detail(`Its proof is now ${node.proof}: every database was restored, every row counted, every index checked`)
  })
}

async function restoreToSecondServer(
  { api, terminal }: Stage,
  input: { point: string; server: string },
): Promise<void> {
  await terminal.step('Restore into the second server', async (step) => {
    const { job } = await api.command<{ job: { id: string } }>(
      'restoreToServer',
      { recoveryPoint: input.point, server: input.server },
      'job { id }',
    )
    await followJob(api, job.id, step)
    const { node } = await api.ask<{ node: { restoreReport: { databases: unknown[]; rolesCreated: string[] } } }>(
      `query ($id: ID!) {
        node(id: $id) { ... on Job { restoreReport { databases { targetName rowCount } rolesCreated } } }
      }`,
      { id: job.id },
    )
    const { databases, rolesCreated } = node.restoreReport
    step.detail(`${counted(databases.length, 'database')} and ${counted(rolesCreated.length, 'role')} created`)
  })
}

async function compare({ terminal, sample, second, signal }: Stage): Promise<string[]> {
  return terminal.step('Compare both servers, past Holdfast, in SQL', async (step) => {
    const { tables, rows, compared, differences } = await compareServers(sample, second, signal)
    if (differences.length > 0) {
      const shown = differences.slice(0, 20)
      throw new Error([`The servers differ in ${counted(differences.length, 'place')}:`, ...shown].join('\n'))
    }
    const kinds = [...compared].filter(([kind]) => !['rows', 'table', 'view definition', 'sequence'].includes(kind))
    const others = kinds.map(([kind, number]) => counted(number, kind, plural(kind)))
    for (const line of wrapped(others, 84)) step.detail(line)
    return [
      `${count(rows)} rows of ${tables} tables and materialized views are the same on both servers, by a checksum of each.`,
      `${count(kinds.reduce((sum, [, number]) => sum + number, 0))} other things are the same: roles, grants, large objects, sequences…`,
    ]
  })
}

async function restoreAsFiles(
  { api, terminal, folder, programs, signal }: Stage,
  recoveryPoint: string,
): Promise<number> {
  return terminal.step('Restore as files', async (step) => {
    const { job } = await api.command<{ job: { id: string } }>(
      'restoreAsFiles',
      { recoveryPoint, target: { directory: folder.restoredFiles } },
      'job { id }',
    )
    await followJob(api, job.id, step)
    return showRestoredFiles(folder.restoredFiles, { programs, step, signal })
  })
}

function plural(kind: string): string {
  if (kind.endsWith('s')) return kind
  if (/[^aeiou]y$/.test(kind)) return `${kind.slice(0, -1)}ies`
  return kind.endsWith('x') ? `${kind}es` : `${kind}s`
}

function wrapped(parts: readonly string[], columns: number): string[] {
  const lines: string[] = []
  for (const part of parts) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + part.length + 2 <= columns) lines[lines.length - 1] = `${last}, ${part}`
    else lines.push(part)
  }
  return lines
}
