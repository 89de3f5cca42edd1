import {
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  Kind,
  type SelectionSetNode,
  visit,
} from 'graphql'
import { requestError } from './errors.ts'
import type { EdgeLimits } from './limits.ts'

/** What a selection comes to once its fragments are put in place. */
interface Extent {
  depth: number
  introspectionDepth: number
  fields: number
}

/** The first limit that a document goes beyond, as an error that says which and by how much; undefined within all. */
export function limitExceeded(document: DocumentNode, limits: EdgeLimits): GraphQLError | undefined {
  return counted(document, limits) ?? measured(document, limits)
}

function counted(document: DocumentNode, limits: EdgeLimits): GraphQLError | undefined {
  const counts = { aliases: 0, directives: 0, operations: 0, fragments: 0 }
  visit(document, {
    Field: (field) => {
      if (field.alias) counts.aliases += 1
    },
    Directive: () => {
      counts.directives += 1
    },
    OperationDefinition: () => {
      counts.operations += 1
    },
    FragmentDefinition: () => {
      counts.fragments += 1
    },
  })
  for (const name of ['operations', 'fragments', 'aliases', 'directives'] as const) {
    if (counts[name] > limits[name]) return tooMany(name, counts[name], limits[name])
  }
  return undefined
}

function measured(document: DocumentNode, limits: EdgeLimits): GraphQLError | undefined {
  const measure = measurer(document)
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const extent = measure(definition.selectionSet)
    if (extent.depth > limits.depth) return tooMany('levels', extent.depth, limits.depth)
    if (extent.introspectionDepth > limits.introspectionDepth) {
      return tooMany('levels of introspection', extent.introspectionDepth, limits.introspectionDepth)
    }
    if (extent.fields > limits.fields) return tooMany('fields', extent.fields, limits.fields)
  }
  return undefined
}

/** Measures selections, each fragment once; fragments in a circle count nothing here, validation refuses them. */
function measurer(document: DocumentNode): (selections: SelectionSetNode) => Extent {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  }
  const known = new Map<string, Extent>()

  function ofFragment(name: string): Extent {
    const seen = known.get(name)
    if (seen) return seen
    known.set(name, nothing)
    const fragment = fragments.get(name)
    const extent = fragment ? ofSelections(fragment.selectionSet) : nothing
    known.set(name, extent)
    return extent
  }

  function ofSelections({ selections }: SelectionSetNode): Extent {
    return selections.map(ofSelection).reduce(together, nothing)
  }

  function ofSelection(selection: SelectionSetNode['selections'][number]): Extent {
    if (selection.kind === Kind.FRAGMENT_SPREAD) return ofFragment(selection.name.value)
    if (selection.kind === Kind.INLINE_FRAGMENT) return ofSelections(selection.selectionSet)
    const below = selection.selectionSet ? ofSelections(selection.selectionSet) : nothing
    const depth = below.depth + 1
    const fields = below.fields + 1
    if (selection.name.value === '__schema' || selection.name.value === '__type') {
      return { depth: 1, introspectionDepth: depth, fields }
    }
    return { depth, introspectionDepth: below.introspectionDepth, fields }
  }

  return ofSelections
}

const nothing: Extent = { depth: 0, introspectionDepth: 0, fields: 0 }

function together(one: Extent, other: Extent): Extent {
  return {
    depth: Math.max(one.depth, other.depth),
    introspectionDepth: Math.max(one.introspectionDepth, other.introspectionDepth),
    fields: one.fields + other.fields,
  }
}

function tooMany(what: string, given: number, limit: number): GraphQLError {
  return requestError('LIMIT_EXCEEDED', `The document has ${given} ${what}; at most ${limit} are allowed.`)
}
