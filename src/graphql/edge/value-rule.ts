import {
  type ASTNode,
  type ASTVisitor,
  GraphQLError,
  Kind,
  type ValidationContext,
  type ValueNode,
  validateInputLiteral,
} from 'graphql'

type Ancestors = readonly (ASTNode | readonly ASTNode[])[]
type Parent = Ancestors[number] | undefined

/** As the language's own rule, that values written in a document fit their types; each error names where its value stands. */
export function valuesOfCorrectType(context: ValidationContext): ASTVisitor {
  const check = (node: ValueNode, type: ReturnType<ValidationContext['getInputType']>, around: Ancestors): false => {
    const root = rootOf(around)
    if (type) {
      const report = (error: GraphQLError, path: readonly (string | number)[]) =>
        context.reportError(root === undefined ? error : naming(root, path, error, node))
      validateInputLiteral(node, type, report, undefined, undefined, context.hideSuggestions)
    }
    return false
  }
  // A visitor is told the parent apart from what is around that.
  const value = (node: ValueNode, _key: unknown, parent: Parent, _path: unknown, ancestors: Ancestors) =>
    check(node, context.getInputType(), parent ? [...ancestors, parent] : ancestors)
  return {
    NullValue: value,
    ListValue: (node, _key, parent, _path, ancestors) =>
      check(node, context.getParentInputType(), parent ? [...ancestors, parent] : ancestors),
    ObjectValue: value,
    EnumValue: value,
    IntValue: value,
    FloatValue: value,
    StringValue: value,
    BooleanValue: value,
  }
}

/** The argument that the value is, or is within; the variable that it is the default of; undefined for neither. */
function rootOf(ancestors: Ancestors): string | undefined {
  for (const ancestor of ancestors.toReversed()) {
    if (!('kind' in ancestor)) continue
    if (ancestor.kind === Kind.ARGUMENT) return ancestor.name.value
    if (ancestor.kind === Kind.VARIABLE_DEFINITION) return `$${ancestor.variable.name.value}`
  }
  return undefined
}

function naming(root: string, path: readonly (string | number)[], error: GraphQLError, node: ValueNode): GraphQLError {
  const place = path.reduce<string>((text, part) => text + (typeof part === 'number' ? `[${part}]` : `.${part}`), root)
  return new GraphQLError(`\`${place}\`: ${error.message}`, { nodes: error.nodes ?? node })
}
