import { isIntrospectionType, isObjectType, isScalarType } from 'graphql'
import { describe, expect, test } from 'vitest'
import { schema } from '../src/graphql/schema/schema.ts'

const types = Object.values(schema.getTypeMap()).filter((type) => !isIntrospectionType(type))
const objects = types.filter(isObjectType)
const fields = objects.flatMap((type) =>
  Object.values(type.getFields()).map((field) => ({ place: `${type.name}.${field.name}`, field })),
)

describe('The schema', () => {
  test('names what to use instead of whatever is deprecated', () => {
    const reasons = fields.flatMap(({ field }) => field.deprecationReason ?? [])
    expect(reasons.filter((reason) => !/\binstead\b/.test(reason))).toEqual([])
  })

  test('has no catch-all scalar', () => {
    expect(types.filter(isScalarType).map(({ name }) => name)).not.toContain('JSON')
  })

  test('has no nulls in its lists, but where nodes are asked for by their ids', () => {
    const holey = fields.filter(({ field }) => /\[[^!]*\]/.test(String(field.type)))
    expect(holey.map(({ place }) => place)).toEqual(['Query.nodes'])
  })

  test('makes a node of every object with an id', () => {
    const strays = objects.filter((type) => 'id' in type.getFields() && !type.getInterfaces().some(isNode))
    expect(strays.map(({ name }) => name)).toEqual([])
  })

  test('pages every connection by the same parts', () => {
    for (const type of objects.filter(({ name }) => name.endsWith('Connection'))) {
      expect(Object.keys(type.getFields()).toSorted()).toEqual(['edges', 'nodes', 'pageInfo', 'totalCount'])
    }
  })
})

function isNode({ name }: { name: string }): boolean {
  return name === 'Node'
}
