import { afterEach, beforeEach, expect, test } from 'vitest'
import { auditRecords } from '../src/database/tables/audit.ts'
import { schema } from '../src/graphql/schema/schema.ts'
import { type Api, startApi } from './kit/api.ts'
import { mutations } from './kit/mutations.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const names = Object.keys(schema.getMutationType()?.getFields() ?? {})

/** Mutations whose line says all by their name and subject: they change no fact that had another value before. */
const withoutFacts = [
  'backUpNow',
  'rebuildCatalogue',
  'backUpMetadata',
  'validateForBackup',
  'verifyRecoveryPoint',
  'restoreAsFiles',
  'restoreToServer',
  'testNotificationChannel',
]

test('every mutation of the schema is known to these tests', () => {
  const missing = names.filter((name) => !(name in mutations))
  expect(missing, `add to test/kit/mutations.ts how to call ${missing.join(', ')}`).toEqual([])
  const stale = Object.keys(mutations).filter((name) => !names.includes(name))
  expect(stale, `remove from test/kit/mutations.ts ${stale.join(', ')}`).toEqual([])
})

test.each(names.filter((name) => name in mutations))(
  '%s writes down who did what to what, and no secret',
  async (name) => {
    const input = (await mutations[name]?.(api)) ?? {}
    const before = new Set((await api.database.select().from(auditRecords)).map(({ id }) => id))
    const answer = await api.mutate(name, input, '')
    expect(answer, JSON.stringify(answer)).toEqual({
      __typename: `${name.charAt(0).toUpperCase()}${name.slice(1)}Payload`,
    })
    const written = (await api.database.select().from(auditRecords)).filter(({ id }) => !before.has(id))
    expect(written.map(({ action }) => action)).toContain(name)
    const line = written.find(({ action }) => action === name)
    expect(line).toMatchObject({
      actor: 'local',
      at: api.clock.now,
      subjectKind: expect.stringMatching(/^[A-Z]\w+$/),
      subjectName: expect.stringMatching(/./),
    })
    if (!withoutFacts.includes(name)) expect(line?.before ?? line?.after).not.toBeNull()
    if (input.reason !== undefined) expect(line?.reason).toContain(input.reason)
    expect(JSON.stringify(written)).not.toMatch(/secret.word|AGE-SECRET|sealed/i)
  },
)

test.each(names.filter((name) => name in mutations && isRehearsable(name)))(
  'a dry run of %s writes nothing down',
  async (name) => {
    const input = (await mutations[name]?.(api)) ?? {}
    const before = await api.database.$count(auditRecords)
    const answer = await api.mutate(name, { ...input, dryRun: true }, '')
    expect(answer.__typename).toMatch(/Payload$/)
    expect(await api.database.$count(auditRecords)).toBe(before)
  },
)

function isRehearsable(name: string): boolean {
  const type = schema.getType(`${name.charAt(0).toUpperCase()}${name.slice(1)}Input`)
  return type !== undefined && 'getFields' in type && 'dryRun' in type.getFields()
}
