import { GraphQLError } from 'graphql'

/** The request itself cannot be used: answered in the top-level errors, before anything was done. */
export function badUserInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } })
}

/** The request asks for more than is answered at once. */
export function limitExceeded(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'LIMIT_EXCEEDED' } })
}
