import type { ObjectRef } from '@pothos/core'
import type { Page } from '../../database/page.ts'
import { builder, type Types } from './builder.ts'
import type { NodeRef } from './node.ts'
import { encodePageCursor } from './paging.ts'

/** One page of a list, with the count of the whole list behind a function: asked only when it is selected. */
export interface Connection<Row> {
  page: Page<Row>
  count: () => Promise<number>
}

interface PageEnds {
  hasNextPage: boolean
  hasPreviousPage: boolean
  startCursor: string | undefined
  endCursor: string | undefined
}

const PageInfo = builder.objectRef<PageEnds>('PageInfo').implement({
  description: 'Where a page of a list begins and ends, and whether there is more.',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage', { description: 'Whether the list goes on after this page.' }),
    hasPreviousPage: t.exposeBoolean('hasPreviousPage', { description: 'Whether the list has rows before this page.' }),
    startCursor: t.expose('startCursor', {
      type: 'Cursor',
      nullable: true,
      description: 'The cursor of the first row, to ask with `before`; null when the page is empty.',
    }),
    endCursor: t.expose('endCursor', {
      type: 'Cursor',
      nullable: true,
      description: 'The cursor of the last row, to ask with `after`; null when the page is empty.',
    }),
  }),
})

/**
 * Declares the connection of a noun: `VaultConnection` with its edges, nodes, page info and total count.
 * `timeOf` is the time that the list is ordered by: the same column that its keyset reads; `nameOf` the name, where the
 * list can be in the order of names too.
 */
export function connectionOf<Row extends { id: string }>(
  noun: NodeRef<Row>,
  timeOf: (row: Row) => Date,
  nameOf?: (row: Row) => string,
) {
  return connectionBy<Row>(noun, (row) =>
    encodePageCursor(noun, { at: timeOf(row), id: row.id, ...(nameOf && { name: nameOf(row) }) }),
  )
}

/** Declares the connection of any type whose rows have a place in their list, by what tells that place. */
export function connectionBy<Row>(
  noun: ObjectRef<Types, Row> | ObjectRef<Types, string | Row, Row>,
  cursorOf: (row: Row) => string,
) {
  const edge = builder.objectRef<Row>(`${noun.name}Edge`)
  edge.implement({
    description: `One ${noun.name} in a list, with its place in it.`,
    fields: (t) => ({
      cursor: t.field({ type: 'Cursor', description: 'The place of this row in the list.', resolve: cursorOf }),
      // A row of the noun is what a resolver of the noun answers; the generic hides it from Pothos.
      node: t.field({ type: noun, description: 'The row itself.', resolve: (row) => row as never }),
    }),
  })
  return builder.objectRef<Connection<Row>>(`${noun.name}Connection`).implement({
    description: `One page of a list of ${noun.name} objects.`,
    fields: (t) => ({
      edges: t.field({
        type: [edge],
        description: 'The rows of this page, each with its cursor.',
        resolve: ({ page }) => page.rows,
      }),
      nodes: t.field({
        type: [noun],
        description: 'The rows of this page, without their cursors.',
        resolve: ({ page }) => page.rows as never,
      }),
      pageInfo: t.field({
        type: PageInfo,
        description: 'Where this page begins and ends, and whether there is more.',
        resolve: ({ page: { rows, hasNextPage, hasPreviousPage } }) => {
          const [first, last] = [rows.at(0), rows.at(-1)]
          return {
            hasNextPage,
            hasPreviousPage,
            startCursor: first && cursorOf(first),
            endCursor: last && cursorOf(last),
          }
        },
      }),
      totalCount: t.int({
        description: 'How many rows the whole list has; counted only when asked for.',
        resolve: ({ count }) => count(),
      }),
    }),
  })
}
