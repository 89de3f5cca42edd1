import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { findJobs } from '../src/job/find.ts'
import type { RestoreValidationReport } from '../src/restore/validation.ts'
import { type Api, startApi } from './kit/api.ts'
import { addInstance, addPoint, addServer } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const selection = `... on ValidateRestorePayload { job { id operation category sourceRecoveryPoint { id } targetRecoveryPoint { id }
    restoreReport { destination } restoreValidation { isRestorable } supportedActions
    recoveryDestination { directory server { id } ownership databases { name targetName } } } }
  ... on InvalidInput { field } ... on NotFound { kind } ... on RecoveryPointBeingRemoved { isFinal } ... on OperationNotAllowed { currentState }`

async function suspectPoint() {
  const point = await addPoint(api, await addInstance(api), {
    state: 'SUSPECT',
    damage: ['0001.dump.age is cut short.'],
  })
  return encodeNodeId('RecoveryPoint', point.id)
}

test('validating a restore is a job with its destination, of a suspect point as well', async () => {
  const recoveryPoint = await suspectPoint()
  const validate = (target: Record<string, unknown>) =>
    api.mutate('validateRestore', { recoveryPoint, target }, selection)
  const files = await validate({ files: { target: { directory: '/restored' }, databases: ['shop'] } })
  expect(files).toMatchObject({
    job: {
      operation: 'VALIDATE_RESTORE',
      category: 'RESTORE',
      supportedActions: ['CANCEL'],
      sourceRecoveryPoint: { id: recoveryPoint },
      targetRecoveryPoint: null,
      restoreReport: null,
      restoreValidation: null,
      recoveryDestination: { directory: '/restored', server: null, databases: [{ name: 'shop', targetName: 'shop' }] },
    },
  })
  const server = encodeNodeId('PostgresServer', (await addServer(api, 'target')).id)
  const mapping = { name: 'shop', targetName: 'again' }
  expect(await validate({ server: { server, databases: [mapping], ownership: 'NONE' } })).toMatchObject({
    job: { recoveryDestination: { directory: null, server: { id: server }, ownership: 'NONE', databases: [mapping] } },
  })
})

test('what no restore could mean is refused at once, as a restore refuses it', async () => {
  const recoveryPoint = await suspectPoint()
  const server = encodeNodeId('PostgresServer', (await addServer(api, 'target')).id)
  const validate = (target: Record<string, unknown>, point = recoveryPoint) =>
    api.mutate('validateRestore', { recoveryPoint: point, target }, selection)
  const unknown = '00000000-0000-4000-8000-000000000000'
  expect(await validate({ files: { target: { directory: 'here' } } })).toMatchObject({ field: 'target.directory' })
  expect(await validate({ server: { server, databases: [{ name: 'none', targetName: 'x' }] } })).toMatchObject({
    field: 'databases',
  })
  const temporary = { name: 'shop', targetName: 'holdfast_restoring_shop' }
  expect(await validate({ server: { server, databases: [temporary] } })).toMatchObject({ field: 'databases' })
  expect(await validate({ server: { server, ownership: 'TO_ROLE' } })).toMatchObject({ field: 'ownerRole' })
  expect(await validate({ server: { server: encodeNodeId('PostgresServer', unknown) } })).toMatchObject({
    kind: 'server',
  })
  const container = { id: encodeNodeId('StorageContainer', unknown), folder: 'set' }
  expect(await validate({ files: { target: { container } } })).toMatchObject({ kind: 'storage container' })
  const files = { files: { target: { directory: '/restored' } } }
  expect(await validate(files, encodeNodeId('RecoveryPoint', unknown))).toMatchObject({ kind: 'recovery point' })
  const instance = await addInstance(api, { name: 'gone', state: 'SOFT_DELETED' })
  const deleted = encodeNodeId('RecoveryPoint', (await addPoint(api, instance)).id)
  expect(await validate(files, deleted)).toMatchObject({ currentState: 'SOFT_DELETED' })
  const other = await addInstance(api, { name: 'expiring' })
  const marked = await addPoint(api, other, { state: 'REMOVING', markedAt: api.clock.now, markReason: 'expired' })
  expect(await validate(files, encodeNodeId('RecoveryPoint', marked.id))).toMatchObject({ isFinal: false })
})

test('the report of a validation is typed, each problem with the code of the table of failures', async () => {
  const recoveryPoint = await suspectPoint()
  const target = { files: { target: { directory: '/restored' } } }
  const started = await api.mutate(
    'validateRestore',
    { recoveryPoint, target },
    '... on ValidateRestorePayload { job { id } }',
  )
  const [job] = (await api.database.select().from(jobs).where(eq(jobs.operation, 'VALIDATE_RESTORE'))) ?? []
  if (!job) throw new Error(JSON.stringify(started))
  const result: RestoreValidationReport = {
    isRestorable: false,
    checks: [
      {
        kind: 'POINT_STATE',
        status: 'PROBLEM',
        subject: 'point',
        message: 'It is suspect.',
        code: 'ARTIFACT_DAMAGED',
        recommendedActions: ['Verify it.'],
      },
    ],
    databases: [
      { name: 'shop', targetName: 'shop', tableCount: 7, rowCount: 3_000_000_000, sourceBytes: 4_000_000_000 },
    ],
    bytesNeeded: 5_000_000_000,
    bytesFree: null,
    tools: null,
  }
  await api.database.update(jobs).set({ status: 'COMPLETED_WITH_WARNINGS', result }).where(eq(jobs.id, job.id))
  expect((await findJobs(api.database, [job.id])).get(job.id)?.status).toBe('COMPLETED_WITH_WARNINGS')
  const { data } = await api.ask(
    `query ($id: ID!) { job(id: $id) { restoreReport { destination } restoreValidation { isRestorable bytesNeeded bytesFree tools
      checks { kind status subject message code recommendedActions }
      databases { name targetName tableCount rowCount sourceBytes } } } }`,
    { id: encodeNodeId('Job', job.id) },
  )
  expect(data).toEqual({ job: { restoreReport: null, restoreValidation: JSON.parse(JSON.stringify(result)) } })
})
