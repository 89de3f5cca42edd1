import { clearAllDataLoaders } from '@pothos/plugin-dataloader'
import DataLoader from 'dataloader'
import type { GraphqlContext } from '../context.ts'
import { limitExceeded } from './bad-user-input.ts'

/** What is loaded for one parent; undefined when there is nothing. */
export type Batched<Options, Value> = (
  context: GraphqlContext,
  parentId: string,
  options: Options,
) => Promise<Value | undefined>

/** Rows that one level of an operation may come to, whatever page sizes multiply to. */
const mostRows = 10_000

const caches: WeakMap<GraphqlContext, unknown>[] = []

/**
 * Loads something for many parents at once: what one operation asks for with equal options, level by level, is one call
 * of `load`, however many parents there are. Options are told apart by their JSON. Refuses what may come to more than
 * 10,000 rows, of which each parent has at most as many as `rowsOf` says: 1 unless given.
 */
export function batched<Value, Options = undefined>(
  load: (
    context: GraphqlContext,
    parentIds: readonly string[],
    options: Options,
  ) => Promise<ReadonlyMap<string, Value>>,
  rowsOf: (options: Options) => number = () => 1,
): Batched<Options, Value> {
  const loadersOf = new WeakMap<GraphqlContext, Map<string, DataLoader<string, Value | undefined>>>()
  caches.push(loadersOf)
  return (context, parentId, options) => {
    const loaders = loadersOf.get(context) ?? new Map<string, DataLoader<string, Value | undefined>>()
    loadersOf.set(context, loaders)
    const key = JSON.stringify(options) ?? ''
    const known = loaders.get(key)
    const loader =
      known ??
      new DataLoader(async (parentIds: readonly string[]) => {
        checkRows(parentIds.length * rowsOf(options))
        const found = await load(context, parentIds, options)
        return parentIds.map((id) => found.get(id))
      })
    if (!known) loaders.set(key, loader)
    return loader.load(parentId)
  }
}

/** Refuses a level of an operation that may come to more rows than are answered at once. */
export function checkRows(rows: number): void {
  if (rows > mostRows) {
    throw limitExceeded(
      `This may come to ${rows} objects at one level; at most ${mostRows} are answered: ask for smaller pages.`,
    )
  }
}

/** Forgets all that the operation has loaded: what follows sees what was changed meanwhile. */
export function forgetLoaded(context: GraphqlContext): void {
  clearAllDataLoaders(context)
  for (const cache of caches) cache.delete(context)
}
