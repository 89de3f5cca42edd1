import { randomUUID } from 'node:crypto'
import { type ExecutionArgs, GraphQLError, type GraphQLFormattedError } from 'graphql'
import type { Context, ServerOptions } from 'graphql-ws'
import type { GraphqlContext, Principal } from '../context.ts'
import { presentError, requestError } from './errors.ts'
import { performOnce, performSubscription } from './perform.ts'
import { principalOf } from './security.ts'
import type { SocketExtra, WebSocketOptions } from './websocket.ts'

/** How the operations of a WebSocket are let in, read and performed; errors never close the socket. */
export function socketOperation(options: WebSocketOptions): ServerOptions<Record<string, unknown>, SocketExtra> {
  const { schema, services, reader, limits, log } = options
  // The context is the one that onSubscribe makes below.
  const maskingOf = (args: ExecutionArgs) => ({ log, requestId: (args.contextValue as GraphqlContext).requestId })
  const principals = new WeakMap<object, Principal>()
  return {
    connectionInitWaitTimeout: limits.connectionInitMs,
    onConnect(socket) {
      const principal = principalOf(authorization(socket), options.access)
      if (principal) principals.set(socket.extra, principal)
      return principal !== undefined
    },
    onSubscribe(socket, _id, { query, variables, operationName }) {
      const requestId = randomUUID()
      const principal = principals.get(socket.extra)
      if (!principal) throw new Error('An operation came before its socket was let in.')
      if (Object.keys(socket.subscriptions).length > limits.subscriptionsPerSocket) {
        return [tooManySubscriptions(limits.subscriptionsPerSocket)].map(withoutHttp)
      }
      try {
        const document = reader.parse(query)
        const errors = reader.validate(document)
        if (errors.length > 0) return errors.map(withoutHttp)
        const contextValue: GraphqlContext = { ...services, principal, requestId }
        return { schema, document, variableValues: variables, operationName, contextValue }
      } catch (error) {
        return [withoutHttp(presentError(error, { log, requestId }))]
      }
    },
    execute: (args) => performOnce(args, maskingOf(args)),
    subscribe: (args) => performSubscription(args, maskingOf(args)),
    onNext: (_socket, _id, _payload, _args, { data, errors }) =>
      errors ? { ...(data !== undefined && { data }), errors: errors.map(formatted) } : undefined,
    onError: (_socket, _id, _payload, errors) =>
      errors.map((error) => formatted(presentError(error, { log, requestId: randomUUID() }))),
  }
}

/** The token may come with the upgrade, or, from a browser, in the connection's first message. */
function authorization({ connectionParams, extra }: Context<Record<string, unknown>, SocketExtra>): unknown {
  return connectionParams?.authorization ?? connectionParams?.Authorization ?? extra.request.headers.authorization
}

function tooManySubscriptions(limit: number): GraphQLError {
  return requestError(
    'LIMIT_EXCEEDED',
    `This socket runs ${limit} operations already; complete one, or open another socket.`,
  )
}

function formatted(error: GraphQLError): GraphQLFormattedError {
  return withoutHttp(error).toJSON()
}

/** The same error without what concerns HTTP only. */
function withoutHttp(error: GraphQLError): GraphQLError {
  const { http: _, ...extensions } = error.extensions
  const { message, nodes, source, positions, path } = error
  return new GraphQLError(message, { nodes, source, positions, path, extensions })
}
