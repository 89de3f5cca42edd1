import { readFile } from 'node:fs/promises'
import {
  GraphQLInputObjectType,
  type GraphQLNamedType,
  GraphQLNonNull,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  isUnionType,
  validateSchema,
} from 'graphql'
import { expect, test } from 'vitest'
import { failures } from '../src/failure.ts'
import { printedSchema } from '../src/graphql/print-schema.ts'
import { schema } from '../src/graphql/schema/schema.ts'

const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
)

interface Described {
  name: string
  description?: string | null | undefined
}

/** Every element of the schema by its coordinate, with what it says of itself. */
function* elements(): Generator<[string, Described]> {
  for (const type of types) {
    yield [type.name, type]
    yield* membersOf(type)
  }
}

function* membersOf(type: GraphQLNamedType): Generator<[string, Described]> {
  if (isEnumType(type)) for (const value of type.getValues()) yield [`${type.name}.${value.name}`, value]
  if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) return
  for (const field of Object.values(type.getFields())) {
    yield [`${type.name}.${field.name}`, field]
    const args: readonly Described[] = 'args' in field ? field.args : []
    for (const arg of args) yield [`${type.name}.${field.name}(${arg.name}:)`, arg]
  }
}

test('the schema is valid and is the committed one; print it with "npm run schema"', async () => {
  expect(validateSchema(schema)).toEqual([])
  expect(await readFile(new URL('../schema.graphql', import.meta.url), 'utf8')).toBe(printedSchema())
})

test('every element of the schema says what it means, in a full sentence', () => {
  const silent = [...elements()].filter(([, { description }]) => !/^(["A-Z`0-9]|pg_).{7,}[.]$/s.test(description ?? ''))
  expect(silent.map(([coordinate, { description }]) => `${coordinate}: ${description}`)).toEqual([])
})

test('every mutation takes one input and answers a union of its payload and refusals', () => {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const name = `${field.name.charAt(0).toUpperCase()}${field.name.slice(1)}`
    expect(field.args.map(({ name: arg, type }) => [arg, String(type)])).toEqual([['input', `${name}Input!`]])
    const result = field.type instanceof GraphQLNonNull ? field.type.ofType : field.type
    if (!isUnionType(result)) throw new Error(`${field.name} does not answer a union.`)
    expect(result.name).toBe(`${name}Result`)
    const [payload, ...refusals] = result
      .getTypes()
      .toSorted((one, other) => Number(other.name === `${name}Payload`) - Number(one.name === `${name}Payload`))
    expect(payload?.name).toBe(`${name}Payload`)
    for (const refusal of refusals) expect(refusal.getInterfaces().map(String)).toEqual(['Refusal'])
    expect(refusals.length).toBeGreaterThan(0)
  }
})

test('every connection is paged alike', () => {
  for (const type of types.filter(isObjectType)) {
    for (const field of Object.values(type.getFields())) {
      if (!String(field.type).endsWith('Connection!')) continue
      const names = field.args.map(({ name }) => name)
      expect([`${type.name}.${field.name}`, ...names]).toEqual(
        expect.arrayContaining(['first', 'after', 'last', 'before']),
      )
    }
  }
})

test('no output has the id of another object, and none a secret', () => {
  const fields = types
    .filter(isObjectType)
    .flatMap((type) => Object.keys(type.getFields()).map((name) => `${type.name}.${name}`))
  expect(fields.filter((name) => /[a-z]Ids?$/.test(name))).toEqual(['RemoveServerPayload.removedServerId'])
  expect(fields.filter((name) => /password$|sealed|identity|secret|token/i.test(name))).toEqual([])
})

test('the codes of failures are those of the table, and say what it says', () => {
  const codes = schema.getType('FailureCode')
  if (!isEnumType(codes)) throw new Error('There is no enum of failures.')
  expect(Object.fromEntries(codes.getValues().map(({ name, description }) => [name, description]))).toEqual(
    Object.fromEntries(Object.entries(failures).map(([code, { message }]) => [code, message])),
  )
})

test('a choice of one thing is a choice of exactly one', () => {
  const choices = types.filter((type) => type instanceof GraphQLInputObjectType && type.isOneOf).map(String)
  expect(choices.toSorted()).toEqual(['RestoreFilesTargetInput', 'VaultLocationInput'])
})
