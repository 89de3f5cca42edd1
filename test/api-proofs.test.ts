import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { jobs } from '../src/database/tables/job.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { recordEvidence } from '../src/recovery-point/record-evidence.ts'
import { type Api, startApi } from './kit/api.ts'
import { addInstance, addPoint } from './kit/catalogue.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

test('a verification goes to the level that is asked, DECODED unless one is', async () => {
  const instance = await addInstance(api)
  const levels = [{}, { level: 'READ_BACK' }, { level: 'RESTORED' }]
  for (const given of levels) {
    const { id } = await addPoint(api, instance)
    const recoveryPoint = encodeNodeId('RecoveryPoint', id)
    const selection = '... on VerifyRecoveryPointPayload { job { operation sourceRecoveryPoint { id } } }'
    const answer = await api.mutate('verifyRecoveryPoint', { recoveryPoint, ...given }, selection)
    expect(answer).toMatchObject({ job: { operation: 'VERIFY', sourceRecoveryPoint: { id: recoveryPoint } } })
    const [job] = await api.database.select().from(jobs).where(eq(jobs.recoveryPointId, id))
    expect(job?.input).toEqual({ level: 'DECODED', ...given })
  }
})

test('a point shows its proofs, newest first, each with what was checked', async () => {
  const point = await addPoint(api, await addInstance(api), {
    state: 'SUSPECT',
    damage: ['x'],
    damageLevel: 'RESTORED',
  })
  const minute = (minutes: number) => new Date(api.clock.now.getTime() + minutes * 60_000)
  const about = { recoveryPointId: point.id, jobId: point.jobId }
  const files = { artifacts: 3, storedBytes: 1000 }
  await recordEvidence(api.database, {
    ...about,
    level: 'READ_BACK',
    outcome: 'PROVEN',
    startedAt: minute(0),
    endedAt: minute(1),
    checked: files,
  })
  await recordEvidence(api.database, {
    ...about,
    level: 'RESTORED',
    outcome: 'FAILED',
    startedAt: minute(2),
    endedAt: minute(4),
    checked: {
      ...files,
      plainBytes: 5000,
      rows: 7,
      assertions: [{ name: 'a thousand', database: 'shop', holds: false }],
      findings: ['x'],
    },
  })
  const query = `query ($id: ID!, $first: Int!) { recoveryPoint(id: $id) { damageLevel lastReadAt decodedAt restoredAt
    proofs(first: $first) { level outcome startedAt endedAt duration job { id } checked { artifacts storedBytes plainBytes rows
      indexes assertions { name database holds } toolVersion serverVersion findings } } } }`
  const variables = { id: encodeNodeId('RecoveryPoint', point.id), first: 10 }
  const { data } = await api.ask(query, variables)
  expect(data).toMatchObject({
    recoveryPoint: {
      damageLevel: 'RESTORED',
      lastReadAt: null,
      proofs: [
        {
          level: 'RESTORED',
          outcome: 'FAILED',
          duration: 'PT2M',
          job: { id: encodeNodeId('Job', point.jobId) },
          checked: {
            ...files,
            plainBytes: 5000,
            rows: 7,
            indexes: null,
            assertions: [{ name: 'a thousand', database: 'shop', holds: false }],
            findings: ['x'],
          },
        },
        {
          level: 'READ_BACK',
          outcome: 'PROVEN',
          duration: 'PT1M',
          checked: { ...files, plainBytes: null, findings: [] },
        },
      ],
    },
  })
  expect((await api.ask(query, { ...variables, first: 1 })).data).toMatchObject({
    recoveryPoint: { proofs: [{ level: 'RESTORED' }] },
  })
  expect((await api.ask(query, { ...variables, first: 51 })).errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
})

test('assertions are set all at once, shown in their order, and refused by the field that is wrong', async () => {
  const backupInstance = encodeNodeId('BackupInstance', (await addInstance(api)).id)
  const selection = `... on SetProofAssertionsPayload { backupInstance { proofAssertions { name database query } } }
    ... on InvalidInput { field }`
  const set = (assertions: unknown[]) => api.mutate('setProofAssertions', { backupInstance, assertions }, selection)
  const two = [
    { name: 'b', database: 'sh"op', query: "select 'it''s' <> ''" },
    { name: 'a', database: 'shop', query: 'select true' },
  ]
  expect(await set(two)).toMatchObject({ backupInstance: { proofAssertions: two } })
  const [first] = two
  const wrong: [object[], string][] = [
    [[first ?? {}, { ...first, database: 'other' }], 'assertions.1.name'],
    [[{ ...first, name: '' }], 'assertions.0.name'],
    [[{ ...first, database: 'x'.repeat(64) }], 'assertions.0.database'],
    [[{ ...first, query: ' ' }], 'assertions.0.query'],
    [[{ ...first, query: 'x'.repeat(4001) }], 'assertions.0.query'],
    [Array.from({ length: 21 }, (_, index) => ({ ...first, name: `n${index}` })), 'assertions'],
  ]
  for (const [assertions, field] of wrong) {
    expect(await set(assertions)).toMatchObject({ __typename: 'InvalidInput', field })
  }
  expect(await set([])).toMatchObject({ backupInstance: { proofAssertions: [] } })
})
