import { afterEach, beforeEach, expect, test } from 'vitest'
import type { AuditAction, AuditSubjectKind } from '../src/audit/actions.ts'
import { recordAudit } from '../src/audit/record.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, at, listAt, startApi } from './kit/api.ts'
import { addServer, addVault } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const hour = (hours: number) => new Date(api.clock.now.getTime() + hours * 3_600_000)

async function log(filter: Record<string, unknown>) {
  const { data, errors } = await api.ask(
    `query ($filter: AuditLogFilter) { auditLog(filter: $filter) { totalCount nodes {
      actor action subjectName reason changes { field before after } details { name value } } } }`,
    { filter },
  )
  expect(errors).toBeUndefined()
  const lines = listAt(data, 'auditLog.nodes')
  expect(at(data, 'auditLog.totalCount')).toBe(lines.length)
  return lines
}

test('what was changed is told as it was and as it is', async () => {
  const vault = encodeNodeId('Vault', (await addVault(api, 'main')).id)
  await api.mutate('updateVaultSecurity', { vault, softDelete: { retentionDays: 30 }, reason: 'a new rule' }, '')
  const server = encodeNodeId('PostgresServer', (await addServer(api, 'db')).id)
  api.clock.now = hour(1)
  await api.mutate('updateServerCredentials', { server, username: 'other', password: 'hunter2' }, '')
  await api.mutate('removeServer', { server }, '')
  expect(await log({ action: ['updateVaultSecurity'] })).toMatchObject([
    { reason: 'a new rule', changes: [{ field: 'softDeleteDays', before: '14', after: '30' }] },
  ])
  expect(await log({ action: ['updateServerCredentials'] })).toMatchObject([
    { changes: [{ field: 'username', before: 'backup', after: 'other' }, { field: 'passwordSetAt' }] },
  ])
  const [removed] = await log({ action: ['removeServer'] })
  expect(listAt(removed, 'changes')).toContainEqual({ field: 'host', before: 'db.example.com', after: null })
  const [registered] = await log({ action: ['registerServer'] })
  expect(listAt(registered, 'changes')).toContainEqual({ field: 'host', before: null, after: 'db.example.com' })
  expect(JSON.stringify(await log({}))).not.toMatch(/hunter2|secret word/)
})

test('lines are filtered by everything that is given', async () => {
  const [one, two] = [crypto.randomUUID(), crypto.randomUUID()]
  const write = (actor: string, action: AuditAction, kind: AuditSubjectKind, id: string, hours: number) =>
    recordAudit(api.database, { actor, action, subject: { kind, id, name: `${action} ${hours}` }, now: hour(hours) })
  await write('ann', 'stopProtection', 'BackupInstance', one, 0)
  await write('ann', 'resumeProtection', 'BackupInstance', one, 1)
  await write('bob', 'stopProtection', 'BackupInstance', two, 2)
  await write('holdfast', 'instancePurged', 'Vault', two, 3)
  const names = async (filter: Record<string, unknown>) => (await log(filter)).map(({ subjectName }) => subjectName)
  const [stopOne, resumeOne, stopTwo, purge] = [
    'stopProtection 0',
    'resumeProtection 1',
    'stopProtection 2',
    'instancePurged 3',
  ]
  expect(await names({})).toEqual([purge, stopTwo, resumeOne, stopOne])
  expect(await names({ actor: 'ann' })).toEqual([resumeOne, stopOne])
  expect(await names({ action: ['stopProtection', 'instancePurged'] })).toEqual([purge, stopTwo, stopOne])
  expect(await names({ action: [] })).toEqual([])
  expect(await names({ subjectKind: 'Vault' })).toEqual([purge])
  expect(await names({ subject: encodeNodeId('BackupInstance', two) })).toEqual([stopTwo])
  expect(await names({ subject: encodeNodeId('BackupInstance', one), subjectKind: 'Vault' })).toEqual([])
  expect(await names({ subject: encodeNodeId('BackupInstance', one), subjectKind: 'BackupInstance' })).toHaveLength(2)
  expect(await names({ since: hour(1), until: hour(3) })).toEqual([stopTwo, resumeOne])
  expect(await names({ actor: 'bob', since: hour(3) })).toEqual([])
})

test('objects without a name are told by the ids that the API knows them by', async () => {
  const jobId = crypto.randomUUID()
  await recordAudit(api.database, {
    actor: 'ann',
    action: 'backUpNow',
    subject: { kind: 'BackupInstance', id: crypto.randomUUID(), name: 'db in main' },
    detail: { job: jobId, vault: 'main' },
    now: api.clock.now,
  })
  expect(await log({ action: ['backUpNow'] })).toMatchObject([
    {
      changes: [],
      details: [
        { name: 'job', value: encodeNodeId('Job', jobId) },
        { name: 'vault', value: 'main' },
      ],
    },
  ])
})

test('only what differs is told, and nothing of what was not given', async () => {
  const subject = { kind: 'BackupInstance' as const, id: crypto.randomUUID(), name: 'db in main' }
  await recordAudit(api.database, {
    actor: 'ann',
    action: 'resumeProtection',
    subject,
    before: { state: 'PROTECTION_STOPPED', stopReason: null, policy: 'nightly' },
    after: { state: 'PROTECTION_CONFIGURED', stopReason: null, policy: 'nightly' },
    detail: { cleanUpJob: null, policy: 'nightly' },
    now: api.clock.now,
  })
  expect(await log({ action: ['resumeProtection'], subjectKind: 'BackupInstance' })).toMatchObject([
    {
      changes: [{ field: 'state', before: 'PROTECTION_STOPPED', after: 'PROTECTION_CONFIGURED' }],
      details: [{ name: 'policy', value: 'nightly' }],
    },
  ])
  const { errors } = await api.ask('{ auditLog(filter: { action: [flewAway] }) { totalCount } }')
  expect(errors?.[0]?.message).toContain('`filter.action[0]`')
})
