import { type GraphQLSchema, graphql, validateSchema } from 'graphql'
import { beforeAll, describe, expect, test } from 'vitest'
import type { GraphqlContext } from '../src/graphql/context.ts'
import { builder } from '../src/graphql/schema/builder.ts'
import { connectionOf } from '../src/graphql/schema/connections.ts'
import { enumeration } from '../src/graphql/schema/enumeration.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { mutation } from '../src/graphql/schema/mutation.ts'
import { node, nodeQuery } from '../src/graphql/schema/node.ts'
import { encodePageCursor, pageArgs, pageRequest } from '../src/graphql/schema/paging.ts'
import { refusalType } from '../src/graphql/schema/refusals.ts'
import '../src/graphql/schema/scalars.ts'
import { NotFound, Refusal } from '../src/refusal.ts'

// A noun of this test's own, written as the real ones are.
interface LampRow {
  id: string
  state: 'LIT' | 'DARK'
  litAt: Date
  neighbourId: string
}

const lampIds = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const
const lamps: LampRow[] = [
  { id: lampIds[0], state: 'LIT', litAt: new Date('2026-01-02T00:00:00Z'), neighbourId: lampIds[1] },
  { id: lampIds[1], state: 'DARK', litAt: new Date('2026-01-01T00:00:00Z'), neighbourId: lampIds[0] },
]
const loads: string[][] = []
let counts = 0

class LampStuck extends Refusal {
  readonly since: Date
  constructor(since: Date) {
    super('The lamp is stuck.', ['Replace it.'])
    this.since = since
  }
}
class LampStolen extends Refusal {}

const Lamp = node('Lamp', async (_database, ids: string[]) => {
  loads.push(ids)
  return lamps.filter((lamp) => ids.includes(lamp.id)).reverse()
})
const LampState = enumeration<LampRow['state']>('LampState', 'How a lamp is.', {
  LIT: 'It gives light.',
  DARK: 'It gives none.',
})
Lamp.implement({
  description: 'A lamp.',
  fields: (t) => ({
    state: t.expose('state', { type: LampState, description: 'How it is.' }),
    litAt: t.expose('litAt', { type: 'DateTime', description: 'Since when.' }),
    neighbour: t.field({ type: Lamp, description: 'The next lamp.', resolve: (lamp) => lamp.neighbourId }),
  }),
})
nodeQuery('lamp', Lamp, 'A lamp by its id; null when there is none.')
const LampConnection = connectionOf(Lamp, (lamp) => lamp.litAt)
builder.queryField('lamps', (t) =>
  t.field({
    type: LampConnection,
    description: 'All lamps.',
    args: pageArgs(t),
    resolve: (_root, args) => {
      const { first = 0, after } = pageRequest(Lamp, args)
      const rows = lamps.filter((lamp) => !after || lamp.litAt < after.at)
      return {
        page: { rows: rows.slice(0, first), hasNextPage: rows.length > first, hasPreviousPage: Boolean(after) },
        count: async () => {
          counts += 1
          return lamps.length
        },
      }
    },
  }),
)
refusalType(LampStuck, 'The lamp cannot be lit.', (t) => ({
  since: t.expose('since', { type: 'DateTime', description: 'Since when it is stuck.' }),
}))
mutation('lightLamp', {
  description: 'Lights a lamp.',
  input: (t) => ({
    lamp: t.globalID({ for: Lamp, required: true, description: 'The lamp.' }),
    how: t.string({ description: 'How to light it.' }),
  }),
  payload: {
    lamp: { type: Lamp, description: 'The lamp, lit.' },
    others: { type: [Lamp], description: 'The lamps that went on with it.' },
    note: { type: 'String', nullable: true, description: 'What is worth knowing; null when nothing is.' },
  },
  refusals: [NotFound, LampStuck],
  resolve: ({ lamp, how }) => {
    if (how === 'stuck') throw new LampStuck(lamps[0]?.litAt ?? new Date())
    if (how === 'stolen') throw new LampStolen('The lamp was stolen.', [])
    if (how === 'missing') throw new NotFound('lamp')
    return { lamp: lamp.id, others: lamps.slice(1), note: null }
  },
})

let schema: GraphQLSchema
const context = () => ({ database: undefined, requestId: 'r' }) as unknown as GraphqlContext // nouns above use neither

beforeAll(() => {
  schema = builder.toSchema()
})

function ask(source: string, variableValues: Record<string, unknown> = {}) {
  return graphql({ schema, source, variableValues, contextValue: context() })
}

describe('A noun', () => {
  test('makes a valid schema', () => {
    expect(validateSchema(schema)).toEqual([])
  })

  test('is fetched by its id, and whatever is nested is loaded together', async () => {
    loads.length = 0
    const { data, errors } = await ask(
      `query ($ids: [ID!]!, $id: ID!) {
        nodes(ids: $ids) { id ... on Lamp { state neighbour { neighbour { state } } } }
        lamp(id: $id) { state litAt }
        node(id: $id) { __typename }
      }`,
      { ids: [...lampIds].reverse().map((id) => encodeNodeId('Lamp', id)), id: encodeNodeId('Lamp', lampIds[0]) },
    )
    expect(errors).toBeUndefined()
    expect(data).toMatchObject({
      nodes: [{ state: 'DARK', neighbour: { neighbour: { state: 'DARK' } } }, { state: 'LIT' }],
      lamp: { state: 'LIT', litAt: '2026-01-02T00:00:00.000Z' },
      node: { __typename: 'Lamp' },
    })
    expect(loads.length).toBeLessThanOrEqual(2)
  })

  test('that is not there is null', async () => {
    const id = encodeNodeId('Lamp', '00000000-0000-4000-8000-00000000000f')
    const { data, errors } = await ask(
      'query ($id: ID!) { lamp(id: $id) { id } node(id: $id) { id } nodes(ids: [$id]) { id } }',
      {
        id,
      },
    )
    expect(errors).toBeUndefined()
    expect(data).toEqual({ lamp: null, node: null, nodes: [null] })
  })

  test.each([
    ['nonsense', 'not an id'],
    ['another kind', encodeNodeId('Table', lampIds[0])],
    ['trailing bytes', `${encodeNodeId('Lamp', lampIds[0])}=`],
    ['an upper-case uuid', Buffer.from(`Lamp:${lampIds[0].replace('000', 'ABC')}`).toString('base64url')],
    ['the built-in names', encodeNodeId('constructor', lampIds[0])],
  ])('refuses %s for an id', async (_what, id) => {
    const { errors } = await ask('query ($id: ID!) { node(id: $id) { id } }', { id })
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT')
  })
})

describe('A connection', () => {
  test('pages by cursor and counts only when asked', async () => {
    counts = 0
    const first = await ask(
      '{ lamps(first: 1) { edges { cursor node { state } } nodes { state } pageInfo { hasNextPage endCursor } } }',
    )
    expect(first).toMatchObject({
      data: {
        lamps: {
          edges: [
            {
              cursor: encodePageCursor(Lamp, { at: new Date('2026-01-02T00:00:00Z'), id: lampIds[0] }),
              node: { state: 'LIT' },
            },
          ],
          nodes: [{ state: 'LIT' }],
          pageInfo: { hasNextPage: true },
        },
      },
    })
    expect(counts).toBe(0)
    const after = encodePageCursor(Lamp, { at: new Date('2026-01-02T00:00:00Z'), id: lampIds[0] })
    const second = await ask(
      'query ($after: Cursor) { lamps(after: $after) { totalCount nodes { state } pageInfo { hasNextPage hasPreviousPage } } }',
      { after },
    )
    expect(second.data).toEqual({
      lamps: { totalCount: 2, nodes: [{ state: 'DARK' }], pageInfo: { hasNextPage: false, hasPreviousPage: true } },
    })
    expect(counts).toBe(1)
  })

  test.each(['first: 0', 'first: 101', 'last: -1', 'first: 1, last: 1', 'after: "AAAA"', 'after: "n:o"', 'before: ""'])(
    'refuses %s',
    async (args) => {
      const { errors } = await ask(`{ lamps(${args}) { nodes { id } } }`)
      expect(errors?.length).toBe(1)
    },
  )
})

describe('A mutation', () => {
  const light = `mutation ($input: LightLampInput!) { lightLamp(input: $input) {
    __typename
    ... on LightLampPayload { lamp { state } others { state } note }
    ... on Refusal { message recommendedActions }
    ... on LampStuck { since }
    ... on NotFound { kind }
  } }`
  const lamp = encodeNodeId('Lamp', lampIds[0])

  test('answers its payload', async () => {
    expect(await ask(light, { input: { lamp } })).toEqual({
      data: {
        lightLamp: { __typename: 'LightLampPayload', lamp: { state: 'LIT' }, others: [{ state: 'DARK' }], note: null },
      },
    })
  })

  test('answers its refusals as types with their fields', async () => {
    expect(await ask(light, { input: { lamp, how: 'stuck' } })).toEqual({
      data: {
        lightLamp: {
          __typename: 'LampStuck',
          message: 'The lamp is stuck.',
          recommendedActions: ['Replace it.'],
          since: '2026-01-02T00:00:00.000Z',
        },
      },
    })
    expect(await ask(light, { input: { lamp, how: 'missing' } })).toMatchObject({
      data: { lightLamp: { __typename: 'NotFound', kind: 'lamp' } },
    })
  })

  test('leaves a refusal it does not name to the edge', async () => {
    const { errors } = await ask(light, { input: { lamp, how: 'stolen' } })
    expect(errors?.[0]?.originalError).toBeInstanceOf(LampStolen)
  })
})
