import type { Database } from '../../database/connect.ts'
import { checkRows } from './batched.ts'
import { builder, nodeNames } from './builder.ts'

/** What every noun's row has at least. */
interface Row {
  id: string
}

/** A noun that has an id; its own file says `Vault.implement({ description, fields })`. */
export type NodeRef<NounRow extends Row = Row> = ReturnType<typeof node<NounRow>>

/**
 * Declares a noun that has an id, by its type's name and the `find.ts` function that loads rows by id (an array in any
 * order, or a map by id; missing ones left out). A resolver may answer a row or its id; ids are loaded together, in one statement.
 */
export function node<NounRow extends Row>(
  name: string,
  load: (database: Database, ids: string[]) => Promise<NounRow[] | ReadonlyMap<string, NounRow>>,
) {
  nodeNames.add(name)
  return builder.loadableNodeRef<NounRow, string, string, string, NounRow>(name, {
    id: { resolve: (row) => row.id },
    load: async (ids: string[], context) => {
      checkRows(ids.length)
      const found = await load(context.database, ids)
      return Array.isArray(found) ? found : [...found.values()]
    },
    toKey: (row) => row.id,
    sort: true,
    cacheResolved: true,
  })
}

/** Adds the query that answers one noun by its id, null when there is none: `vault(id: ID!): Vault`. */
export function nodeQuery<NounRow extends Row>(field: string, noun: NodeRef<NounRow>, description: string): void {
  builder.queryField(field, (t) =>
    t.field({
      type: noun,
      nullable: true,
      description,
      args: { id: t.arg.globalID({ for: noun, required: true, description: `The id of the ${noun.name}.` }) },
      // An id is what a resolver of the noun may answer; the generic hides it from Pothos.
      resolve: (_root, { id }) => id.id as never,
    }),
  )
}
