import type { PageCursor, PageRequest } from '../../database/page.ts'
import { badUserInput } from './bad-user-input.ts'
import type { Types } from './builder.ts'
import { isWritable } from './scalars.ts'

const defaultPageSize = 50
const maxPageSize = 100

/** What the arguments of `pageArgs` hold. */
export interface PageArgs {
  first?: number | null | undefined
  after?: string | null | undefined
  last?: number | null | undefined
  before?: string | null | undefined
}

/** The arguments of every connection: spread them into the field's `args`. */
export function pageArgs(t: { arg: PothosSchemaTypes.InputFieldBuilder<Types, 'Arg'>['field'] }) {
  return {
    first: t.arg({
      type: 'Int',
      description: `How many rows to answer from the start or after a cursor, 1 to ${maxPageSize}; ${defaultPageSize} when left out.`,
    }),
    after: t.arg({ type: 'Cursor', description: 'Only rows after this cursor.' }),
    last: t.arg({
      type: 'Int',
      description: `How many rows to answer from the end or before a cursor, 1 to ${maxPageSize}; not together with \`first\`.`,
    }),
    before: t.arg({ type: 'Cursor', description: 'Only rows before this cursor.' }),
  }
}

/** A list by what it is a list of: its cursors are of no other one. */
export interface List {
  name: string
}

/** The page of the list that the arguments ask for; refuses sizes out of range, `first` with `last`, and cursors that are not the list's. */
export function pageRequest(list: List, args: PageArgs): PageRequest {
  const { after, before } = args
  return {
    ...pageSizes(args),
    ...(after != null && { after: decodePageCursor(list, 'after', after) }),
    ...(before != null && { before: decodePageCursor(list, 'before', before) }),
  }
}

/** As pageRequest, for a list in the order of names: its cursors tell the name. */
export function namedPageRequest(list: List, args: PageArgs): PageRequest {
  const page = pageRequest(list, args)
  for (const name of ['after', 'before'] as const) {
    const cursor = page[name]
    if (cursor && cursor.name === undefined) throw foreignCursor(name)
  }
  return page
}

/** Says no to a cursor that the argument cannot be, because it is of another list or of none. */
export function foreignCursor(argument: 'after' | 'before'): Error {
  return badUserInput(`\`${argument}\`: this cursor is not one of this list: copy it from an answer of the same list.`)
}

/** How many rows the arguments ask for, and from which end. */
export function pageSizes({ first, last }: PageArgs): { first: number } | { last: number } {
  if (first != null && last != null) throw badUserInput('Ask for `first` or for `last`, not for both.')
  return last != null ? { last: pageSize('last', last) } : { first: pageSize('first', first ?? defaultPageSize) }
}

function pageSize(name: string, size: number): number {
  if (size < 1 || size > maxPageSize) throw badUserInput(`\`${name}\` is 1 to ${maxPageSize}; ${size} was given.`)
  return size
}

const cursorShape =
  /^([A-Z][A-Za-z]{0,63}):(-?\d{1,16}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?::(.{1,500}))?$/s

/** The opaque text of a place in a list: base64url of what it lists, the time in milliseconds, the id and, where it sorts, the name. */
export function encodePageCursor(list: List, { at, id, name }: PageCursor): string {
  const end = name === undefined ? '' : `:${name}`
  return Buffer.from(`${list.name}:${at.getTime()}:${id}${end}`).toString('base64url')
}

/** Reads a place back. Only the exact text that encodePageCursor wrote for that list is taken; anything else is the caller's mistake. */
function decodePageCursor(list: List, argument: 'after' | 'before', text: string): PageCursor {
  const [, , time, id, name] = cursorShape.exec(Buffer.from(text, 'base64url').toString()) ?? []
  const cursor = { at: new Date(Number(time)), id: id ?? '', ...(name !== undefined && { name }) }
  const isPlace = isWritable(cursor.at) && !name?.includes('\0')
  if (id === undefined || !isPlace || encodePageCursor(list, cursor) !== text) throw foreignCursor(argument)
  return cursor
}
