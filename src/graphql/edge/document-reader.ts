import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  parse,
  specifiedRules,
  ValuesOfCorrectTypeRule,
  validate,
} from 'graphql'
import { limitExceeded } from './document-limits.ts'
import { requestError } from './errors.ts'
import type { EdgeLimits } from './limits.ts'
import { valuesOfCorrectType } from './value-rule.ts'

/** Parses and validates documents within the limits; keeps the latest good ones. */
export interface DocumentReader {
  /** Throws a GraphQLError with a code when the text is no document, or one beyond a limit. */
  parse(text: string): DocumentNode
  validate(document: DocumentNode): readonly GraphQLError[]
}

const cacheableLength = 8192

const rules = specifiedRules.map((rule) => (rule === ValuesOfCorrectTypeRule ? valuesOfCorrectType : rule))

/** Only documents that are valid are kept: an error is always answered afresh. */
export function documentReader(schema: GraphQLSchema, limits: EdgeLimits): DocumentReader {
  const kept = new Map<string, DocumentNode>()
  const valid = new WeakSet<DocumentNode>()
  const texts = new WeakMap<DocumentNode, string>()

  function keep(text: string, document: DocumentNode): void {
    if (text.length > cacheableLength) return
    kept.delete(text)
    kept.set(text, document)
    const oldest = kept.keys().next().value
    if (kept.size > limits.cachedDocuments && oldest !== undefined) kept.delete(oldest)
  }

  return {
    parse(text) {
      const known = kept.get(text)
      if (known) {
        keep(text, known)
        return known
      }
      const document = parseWithin(text, limits)
      texts.set(document, text)
      return document
    },
    validate(document) {
      if (valid.has(document)) return []
      const errors = validate(schema, document, rules, {
        maxErrors: limits.validationErrors,
        hideSuggestions: true,
      })
      if (errors.length > 0) return errors.map(asValidationError)
      valid.add(document)
      const text = texts.get(document)
      if (text !== undefined) keep(text, document)
      return []
    },
  }
}

function parseWithin(text: string, limits: EdgeLimits): DocumentNode {
  const document = parseText(text, limits.tokens)
  const error = limitExceeded(document, limits)
  if (error) throw error
  return document
}

function parseText(text: string, maxTokens: number): DocumentNode {
  try {
    return parse(text, { maxTokens })
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error
    if (error.message.includes('Parsing aborted')) {
      throw requestError('LIMIT_EXCEEDED', `The document has more than ${maxTokens} tokens.`)
    }
    throw coded(error, 'GRAPHQL_PARSE_FAILED')
  }
}

function asValidationError(error: GraphQLError): GraphQLError {
  return coded(error, 'GRAPHQL_VALIDATION_FAILED')
}

function coded({ message, nodes, source, positions }: GraphQLError, code: string): GraphQLError {
  return new GraphQLError(message, {
    nodes,
    source,
    positions,
    extensions: { code, http: { status: 400, spec: true } },
  })
}
