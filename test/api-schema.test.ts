import { isEnumType, isInputObjectType, isObjectType } from 'graphql'
import { expect, test } from 'vitest'
import { failures } from '../src/failure.ts'
import { schema } from '../src/graphql/schema/schema.ts'

const types = Object.values(schema.getTypeMap())

test('no output has the id of another object, and none a secret', () => {
  const fields = types
    .filter(isObjectType)
    .filter(({ name }) => !name.startsWith('__'))
    .flatMap((type) => Object.keys(type.getFields()).map((name) => `${type.name}.${name}`))
  const ids = fields.filter((name) => /[a-z]Ids?$/.test(name))
  // What is gone has nothing left but its id.
  const left = ids.filter((name) => !/^(Remove|Delete)\w+Payload\.(removed|deleted)\w+Id$/.test(name))
  // What S3 calls the id of an access key names no object of this schema.
  expect(left).toEqual(['S3Bucket.accessKeyId'])
  const secrets = fields.filter((name) => /\.\w*(password|sealed|identity|secret|token)\w*$/i.test(name))
  // When one was set may be known; what a receiver signs with is told the moment it is made, and never again.
  expect(secrets.filter((name) => !/SetAt$|^Mutation\./.test(name))).toEqual([
    'CreateNotificationChannelPayload.signingSecret',
    'RotateNotificationChannelSecretPayload.signingSecret',
  ])
})

test('the codes of failures are those of the table, and say what it says', () => {
  const codes = schema.getType('FailureCode')
  if (!isEnumType(codes)) throw new Error('There is no enum of failures.')
  expect(Object.fromEntries(codes.getValues().map(({ name, description }) => [name, description]))).toEqual(
    Object.fromEntries(Object.entries(failures).map(([code, { message }]) => [code, message])),
  )
})

test('whoever has an address or a role that cannot be used is told of what sets either', () => {
  const advice = failures.ADDRESS_INVALID.recommendedActions.join(' ')
  for (const name of ['updateServerAddress', 'updateServerCredentials']) {
    expect(schema.getMutationType()?.getFields()).toHaveProperty(name)
    expect(advice).toContain(name)
  }
})

test('a choice of one thing is a choice of exactly one', () => {
  const choices = types.filter((type) => isInputObjectType(type) && type.isOneOf).map(String)
  expect(choices.toSorted()).toEqual([
    'DecodeInput',
    'NotificationTargetInput',
    'PreviewedPolicyInput',
    'RestoreFilesTargetInput',
    'RestoreToValidateInput',
    'ScheduleInput',
    'StorageAccountLocationInput',
    'VaultLocationInput',
  ])
})
