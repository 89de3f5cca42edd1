import SchemaBuilder from '@pothos/core'
import DataloaderPlugin from '@pothos/plugin-dataloader'
import ErrorsPlugin from '@pothos/plugin-errors'
import RelayPlugin from '@pothos/plugin-relay'
import type { GraphqlContext } from '../context.ts'
import { badUserInput } from './bad-user-input.ts'
import { decodeNodeId, encodeNodeId } from './ids.ts'

interface Settings {
  Context: GraphqlContext
  DefaultFieldNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: Date; Output: Date }
    Duration: { Input: string; Output: string }
    ByteCount: { Input: number; Output: number }
    RowCount: { Input: number; Output: number }
    Cursor: { Input: string; Output: string }
    /** Whether there is such a time, or such a zone, is for the operation to say. */
    LocalTime: { Input: string; Output: string }
    TimeZone: { Input: string; Output: string }
  }
}

/** The schema's types as Pothos sees them: for helpers that are generic over fields. */
export type Types = PothosSchemaTypes.ExtendDefaultTypes<Settings>

const maxNodes = 100

/** Every type and field is declared on it; fields are non-null unless they say otherwise. */
export const builder = new SchemaBuilder<Settings>({
  plugins: [ErrorsPlugin, RelayPlugin, DataloaderPlugin],
  defaultFieldNullability: false,
  errors: { directResult: true },
  relay: {
    encodeGlobalID: (typename, id) => encodeNodeId(typename, String(id)),
    decodeGlobalID: (text) => {
      const nodeId = decodeNodeId(text)
      // Said better, with the place where it stands, by ids-in-arguments.ts.
      if (!nodeId || !nodeNames.has(nodeId.typename)) throw badUserInput('This is no id of ours.')
      return nodeId
    },
    nodeTypeOptions: { description: 'Anything with an id: it can be fetched again by that id alone.' },
    idFieldOptions: { description: 'The opaque id of this object, unique among all objects.' },
    nodeQueryOptions: {
      description: 'Any object by its id; null when it is no longer there.',
      args: { id: { description: 'The id that an answer of this API gave.' } },
    },
    nodesQueryOptions: {
      description: `Several objects by their ids, in the order asked; null for each that is no longer there; at most ${maxNodes}.`,
      args: { ids: { description: 'The ids that answers of this API gave.' } },
      resolve: (_root, { ids }, _context, _info, resolveNodes) => {
        if (ids.length > maxNodes)
          throw badUserInput(`Ask for at most ${maxNodes} ids at once; ${ids.length} were given.`)
        return resolveNodes(ids).then(withoutErrors)
      },
    },
  },
})

/** The names of all nouns that have ids; `node` in node.ts adds to it. */
export const nodeNames = new Set<string>()

function withoutErrors(nodes: unknown[]): Promise<unknown>[] {
  return nodes.map(async (node) => node)
}

builder.queryType({ description: 'Everything that can be asked; nothing here changes anything.' })
