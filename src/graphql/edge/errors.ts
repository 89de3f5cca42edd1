import { PothosValidationError } from '@pothos/core'
import { type ExecutionResult, GraphQLError } from 'graphql'
import type { Logger } from 'pino'

/**
 * An error of the request itself. Its HTTP status is the one given, or, as for any document that cannot be executed,
 * 400 (200 for clients that ask for the older `application/json`). Only the HTTP edge reads `http`.
 */
export function requestError(code: string, message: string, status?: number): GraphQLError {
  const http = status === undefined ? { status: 400, spec: true } : { status }
  return new GraphQLError(message, { extensions: { code, http } })
}

/** Where masked causes are written, and under which request id. */
export interface Masking {
  log: Logger
  requestId: string
}

/**
 * The result as a client may see it: every error has a code; a bug or an outage is replaced by a sentence with the
 * request id, and its cause is logged once under that id.
 */
export function presentResult<Result extends ExecutionResult>(result: Result, masking: Masking): Result {
  if (!result.errors?.length) return result
  const isRequestError = !('data' in result)
  return { ...result, errors: result.errors.map((error) => presentError(error, masking, isRequestError)) }
}

/** One error as a client may see it; `isRequestError` when nothing was executed. */
export function presentError(error: unknown, masking: Masking, isRequestError = false): GraphQLError {
  if (!(error instanceof GraphQLError) || !isExpected(error)) return mask(error, masking)
  if (error instanceof PothosValidationError || error.originalError instanceof PothosValidationError) {
    return withExtensions(error, 'An id is of another kind of object than this field takes.', isRequestError)
  }
  return withExtensions(error, error.message, isRequestError)
}

/** Errors of the language itself, and ours that were thrown as GraphQLErrors; never a Refusal or a driver's error. */
function isExpected(error: GraphQLError): boolean {
  const cause = error.originalError
  return cause === undefined || (cause instanceof GraphQLError && isExpected(cause))
}

function withExtensions(error: GraphQLError, message: string, isRequestError: boolean): GraphQLError {
  return new GraphQLError(message, {
    ...placeOf(error),
    extensions: {
      code: 'BAD_USER_INPUT',
      ...(isRequestError && { http: { status: 400, spec: true } }),
      ...error.extensions,
    },
  })
}

function mask(error: unknown, { log, requestId }: Masking): GraphQLError {
  const cause = error instanceof GraphQLError ? (error.originalError ?? error) : error
  const path = error instanceof GraphQLError ? error.path?.join('.') : undefined
  log.error({ requestId, path, err: withoutParameters(cause) }, 'A request failed')
  return new GraphQLError(`Something went wrong on our side; the log says more under the request id ${requestId}.`, {
    ...(error instanceof GraphQLError && placeOf(error)),
    extensions: { code: 'INTERNAL_SERVER_ERROR', requestId, http: { status: 500 } },
  })
}

function placeOf({ nodes, source, positions, path }: GraphQLError) {
  return { nodes, source, positions, path }
}

/** A failed query without the values it was given: they may be what a user wants kept secret. */
function withoutParameters(cause: unknown): unknown {
  if (!(cause instanceof Error) || !('query' in cause) || !('params' in cause)) return cause
  const shown = new Error(`Failed query: ${cause.query}`, { cause: cause.cause })
  shown.stack = `${shown.message}\n${cause.stack?.split('\n').filter(isFrame).join('\n')}`
  return shown
}

function isFrame(line: string): boolean {
  return line.startsWith('    at ')
}
