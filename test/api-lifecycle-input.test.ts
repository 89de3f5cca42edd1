import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { type Api, startApi } from './kit/api.ts'
import { addInstance, addPoint, addPolicy } from './kit/catalogue.ts'
import { dumpOf } from './kit/lifecycle.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const unknown = encodeNodeId('BackupInstance', '00000000-0000-4000-8000-000000000000')

/** Every operation of the lifecycle with input that it would take. */
async function operations() {
  const instance = await addInstance(api)
  await addPoint(api, instance)
  const policy = encodeNodeId('BackupPolicy', (await addPolicy(api, 'another')).id)
  const backupInstance = encodeNodeId('BackupInstance', instance.id)
  const all = {
    changePolicy: { backupInstance, policy },
    stopProtection: { backupInstance, data: 'RETAIN_FOREVER' },
    resumeProtection: { backupInstance },
    deleteBackupInstance: { backupInstance, confirmName: instance.name },
    undeleteBackupInstance: { backupInstance },
    backUpNow: { backupInstance },
    retryConfigureProtection: { backupInstance },
  }
  return {
    all: Object.entries<Record<string, unknown>>(all),
    otherNoun: encodeNodeId('Vault', instance.vaultId),
    policy,
  }
}

test('an instance that is not there, or another kind of object, is not found by any operation', async () => {
  const { all, otherNoun } = await operations()
  const before = await dumpOf(api.database)
  for (const [name, input] of all) {
    for (const backupInstance of [unknown, otherNoun]) {
      const refusal = await api.mutate(name, { ...input, backupInstance }, '... on NotFound { kind }')
      expect({ name, ...refusal }).toMatchObject({ name, __typename: 'NotFound', kind: 'backup instance' })
    }
  }
  expect(await dumpOf(api.database)).toEqual(before)
})

test('a policy that is not there, or another kind of object, is not found', async () => {
  const { all, otherNoun } = await operations()
  const [, input] = all.find(([name]) => name === 'changePolicy') ?? []
  const before = await dumpOf(api.database)
  const none = encodeNodeId('BackupPolicy', '00000000-0000-4000-8000-000000000000')
  for (const policy of [none, otherNoun, unknown]) {
    expect(await api.mutate('changePolicy', { ...input, policy }, '... on NotFound { kind }')).toMatchObject({
      kind: 'policy',
    })
  }
  expect(await dumpOf(api.database)).toEqual(before)
})

const badComments: Record<string, string> = {
  'of 10,000 characters': 'x'.repeat(10_000),
  'one character too long': 'x'.repeat(2_001),
  'with NUL': 'a\0b',
  'with an escape sequence': '\u001b[31mred',
  'with a carriage return': 'a\r\nb',
  'with a C1 control character': 'a\u0085b',
  'with half a character': 'a\ud800b',
}

test('a comment that is too long, or that holds what is no text, is refused by its field', async () => {
  const { all } = await operations()
  const before = await dumpOf(api.database)
  for (const [name, input] of all) {
    if (name !== 'stopProtection' && name !== 'deleteBackupInstance') continue
    for (const [kind, comment] of Object.entries(badComments)) {
      const refusal = await api.mutate(name, { ...input, comment }, '... on InvalidInput { field }')
      expect({ name, kind, ...refusal }).toMatchObject({ name, kind, __typename: 'InvalidInput', field: 'comment' })
    }
  }
  expect(await dumpOf(api.database)).toEqual(before)
})

test('what is no id, no tag, no reason or no choice is a malformed request that names it', async () => {
  const { all } = await operations()
  const input = Object.fromEntries(all)
  const before = await dumpOf(api.database)
  const bad: [string, Record<string, unknown>, named: string][] = [
    ['stopProtection', { ...input.stopProtection, data: 'KEEP' }, '.data'],
    ['stopProtection', { ...input.stopProtection, reason: 'BORED' }, '.reason'],
    ['stopProtection', { ...input.stopProtection, dryRun: 'yes' }, '.dryRun'],
    ['deleteBackupInstance', { ...input.deleteBackupInstance, confirmName: null }, '.confirmName'],
    ['deleteBackupInstance', { ...input.deleteBackupInstance, comment: 7 }, '.comment'],
    ['backUpNow', { ...input.backUpNow, retentionTag: 'HOURLY' }, '.retentionTag'],
    ['changePolicy', { ...input.changePolicy, policy: 'not an id' }, '"not an id"'],
    ['resumeProtection', { backupInstance: "1'; drop table jobs; --" }, `"1'; drop table jobs; --"`],
  ]
  for (const [name, variables, named] of bad) {
    const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
    const query = `mutation ($input: ${type}Input!) { ${name}(input: $input) { __typename } }`
    const { errors, data } = await api.ask(query, { input: variables })
    expect({ name, data, errors }).toMatchObject({
      name,
      data: null,
      errors: [{ message: expect.stringContaining(named), extensions: { code: 'BAD_USER_INPUT' } }],
    })
  }
  expect(await dumpOf(api.database)).toEqual(before)
})
