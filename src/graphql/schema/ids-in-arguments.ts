import {
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  isInputObjectType,
  isObjectType,
} from 'graphql'
import { withArticle } from '../../refusal.ts'
import { badUserInput } from './bad-user-input.ts'
import { nodeNames } from './builder.ts'
import { decodeNodeId } from './ids.ts'

type Place = GraphQLArgument | GraphQLInputField

/** Looks at a value and throws when it, or something within it, is no id of the kind that belongs there. */
type Check = (value: unknown, path: string) => void

/**
 * Has every field of the schema look at the ids among its arguments before anything else is done: one that cannot be read,
 * or is of another kind of object than a query takes there, is refused with the place where it stands.
 */
export function withCheckedIds(schema: GraphQLSchema): GraphQLSchema {
  const known = new Map<GraphQLInputType, Check>()
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const checks = field.args.filter(holdsIds).map((place) => ({ name: place.name, check: checkOf(place, known) }))
      const { resolve, subscribe } = field
      if (checks.length === 0) continue
      const checkAll = (args: Record<string, unknown>) => {
        for (const { name, check } of checks) check(args[name], name)
      }
      // What is checked where a subscription begins need not be checked at its every event.
      const isSubscription = type === schema.getSubscriptionType()
      if (resolve && !isSubscription) {
        field.resolve = (root, args, context, info) => {
          checkAll(args)
          return resolve(root, args, context, info)
        }
      }
      if (subscribe && isSubscription) {
        field.subscribe = (root, args, context, info) => {
          checkAll(args)
          return subscribe(root, args, context, info)
        }
      }
    }
  }
  return schema
}

/** Whether the place takes an id, or an input that holds one somewhere within. */
function holdsIds({ type }: Place): boolean {
  return typeHoldsIds(getNamedType(type), new Set())
}

function typeHoldsIds(type: GraphQLInputType, seen: Set<GraphQLInputType>): boolean {
  if (!isInputObjectType(type)) return getNamedType(type).name === 'ID'
  if (seen.has(type)) return false
  seen.add(type)
  return Object.values(type.getFields()).some((field) => typeHoldsIds(getNamedType(field.type), seen))
}

function checkOf(place: Place, known: Map<GraphQLInputType, Check>): Check {
  const type = getNamedType(place.type)
  if (!isInputObjectType(type)) return (value, path) => each(value, path, (id, at) => checkId(id, at, kindsOf(place)))
  const before = known.get(type)
  if (before) return before
  const fields: [string, Check][] = []
  const check: Check = (given, path) =>
    each(given, path, (value, at) => {
      if (typeof value !== 'object' || value === null) return
      const entries = new Map<string, unknown>(Object.entries(value))
      for (const [name, checkField] of fields) checkField(entries.get(name), `${at}.${name}`)
    })
  known.set(type, check)
  for (const field of Object.values(type.getFields())) {
    if (holdsIds(field)) fields.push([field.name, checkOf(field, known)])
  }
  return check
}

/** Visits the value, or each value of a list of them; nothing where nothing was given. */
function each(value: unknown, path: string, visit: Check): void {
  if (value == null) return
  if (Array.isArray(value)) for (const [index, item] of value.entries()) each(item, `${path}[${index}]`, visit)
  else visit(value, path)
}

/** The kinds that a query takes there; undefined where any is taken, or an operation says itself what it misses. */
function kindsOf({ extensions }: Place): string[] | undefined {
  const kinds: unknown = extensions.relayGlobalIDFor
  if (!Array.isArray(kinds)) return undefined
  return kinds.map((kind: { typename: string }) => kind.typename)
}

function checkId(text: unknown, path: string, kinds: string[] | undefined): void {
  const nodeId = decodeNodeId(String(text))
  if (!nodeId) {
    const given = JSON.stringify(String(text).slice(0, 100).toWellFormed())
    throw badUserInput(`\`${path}\`: ${given} is no id of ours: ids are opaque, copy them from an answer of this API.`)
  }
  const { typename } = nodeId
  if (!nodeNames.has(typename)) throw badUserInput(`\`${path}\`: there is no kind of object named ${typename}.`)
  if (kinds && !kinds.includes(typename)) {
    throw badUserInput(
      `\`${path}\` is the id of ${withArticle(typename)}, not of ${kinds.map(withArticle).join(' or ')}.`,
    )
  }
}
