import { readFile } from 'node:fs/promises'
import {
  type GraphQLField,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isNonNullType,
  isNullableType,
  isObjectType,
  isScalarType,
  isSpecifiedScalarType,
  isUnionType,
  validateSchema,
} from 'graphql'
import { describe, expect, test } from 'vitest'
import { printedSchema } from '../src/graphql/print-schema.ts'
import { schema } from '../src/graphql/schema/schema.ts'

const types = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !(isScalarType(type) && isSpecifiedScalarType(type)),
)
const objects = types.filter(isObjectType)

/** Everything that a client can read about, by where it stands. */
function describedParts(): [place: string, description: string | null | undefined][] {
  return types.flatMap((type) => [
    [type.name, type.description] as [string, string | null | undefined],
    ...(isObjectType(type) || isInterfaceType(type)
      ? Object.values(type.getFields()).flatMap((field) => fieldParts(type.name, field))
      : []),
    ...(isInputObjectType(type)
      ? Object.values(type.getFields()).map(({ name, description }) => [`${type.name}.${name}`, description] as const)
      : []),
    ...(isEnumType(type)
      ? type.getValues().map(({ name, description }) => [`${type.name}.${name}`, description] as const)
      : []),
  ]) as [string, string | null | undefined][]
}

function fieldParts(owner: string, { name, description, args }: GraphQLField<unknown, unknown>) {
  const place = `${owner}.${name}`
  return [[place, description] as const, ...args.map((arg) => [`${place}(${arg.name})`, arg.description] as const)]
}

describe('The schema', () => {
  test('is valid', () => {
    expect(validateSchema(schema)).toEqual([])
  })

  test('is the one that is committed; "npm run schema" writes it', async () => {
    expect(await readFile(new URL('../schema.graphql', import.meta.url), 'utf8')).toBe(printedSchema())
  })

  test('describes every type, field, argument, input field and enum value with a full sentence', () => {
    const wanting = describedParts().filter(([, text]) => !text || !/^([A-Z`"]|pg_).{8,}[.!?]$/s.test(text.trim()))
    expect(wanting).toEqual([])
  })

  test('names the reason and the replacement of whatever is deprecated', () => {
    const reasons = objects
      .flatMap((type) => Object.values(type.getFields()))
      .flatMap(({ deprecationReason }) => deprecationReason ?? [])
    expect(reasons.filter((reason) => !/instead/.test(reason))).toEqual([])
  })

  test('has no catch-all scalar', () => {
    expect(types.filter(isScalarType).map(({ name }) => name)).not.toContain('JSON')
  })

  test('lists hold no nulls, but where nodes are asked for by their ids', () => {
    const holey = objects.flatMap((type) =>
      Object.values(type.getFields())
        .filter((field) => /\[[^!]*\]/.test(String(field.type)))
        .map((field) => `${type.name}.${field.name}`),
    )
    expect(holey).toEqual(['Query.nodes'])
  })
})

describe('Every mutation', () => {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {})

  test.each(mutations.map((field) => [field.name, field] as const))(
    '%s takes one input and answers a union',
    (name, field) => {
      const typeName = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
      expect(field.args.map((arg) => `${arg.name}: ${arg.type}`)).toEqual([`input: ${typeName}Input!`])
      expect(String(field.type)).toBe(`${typeName}Result!`)
      const result = getNamedType(field.type)
      const members = isUnionType(result) ? result.getTypes() : []
      const [payload, ...others] = members.filter(
        (type) => !type.getInterfaces().some(({ name }) => name === 'Refusal'),
      )
      expect([payload?.name, others]).toEqual([`${typeName}Payload`, []])
      expect(members.length).toBeGreaterThan(1)
    },
  )
})

describe('Every connection', () => {
  const connections = objects.filter(({ name }) => name.endsWith('Connection'))
  const fields = objects.flatMap((type) => Object.values(type.getFields()))

  test.each(connections.map((type) => [type.name, type] as const))('%s has the usual parts', (name, type) => {
    expect(Object.keys(type.getFields()).sort()).toEqual(['edges', 'nodes', 'pageInfo', 'totalCount'])
    for (const field of fields.filter((each) => getNamedType(each.type).name === name)) {
      expect(isNonNullType(field.type)).toBe(true)
      const pageArgs = field.args.filter((arg) => ['first', 'after', 'last', 'before'].includes(arg.name))
      expect(pageArgs.filter((arg) => isNullableType(arg.type)).length).toBe(4)
    }
  })
})

describe('Every object with an id', () => {
  test.each(objects.filter((type) => 'id' in type.getFields()).map((type) => [type.name, type] as const))(
    '%s is a node',
    (_name, type) => {
      expect(type.getInterfaces().map(({ name }) => name)).toContain('Node')
    },
  )
})
