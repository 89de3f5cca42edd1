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

/** As the language's own rule, that values written in a document fit their types; each error names where its value stands. */
export function valuesOfCorrectType(context: ValidationContext): ASTVisitor {
  const check = (node: ValueNode, type: ReturnType<ValidationContext['getInputType']>, ancestors: Ancestors): false => {
    const root = rootOf(ancestors)
    if (type) {
      const report = (error: GraphQLError, path: readonly (string | number)[]) =>
        context.reportError(root === undefined ? error : naming(root, path, error, node))
      validateInputLiteral(node, type, report, undefined, undefined, context.hideSuggestions)
    }
    return false
  }
  const value = (node: ValueNode, _key: unknown, _parent: unknown, _path: unknown, ancestors: Ancestors) =>
    check(node, context.getInputType(), ancestors)
  return {
    NullValue: value,
    ListValue: (node, _key, _parent, _path, ancestors) => check(node, context.getParentInputType(), ancestors),
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
