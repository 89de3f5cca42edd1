import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ExecutionArgs, GraphQLSchema } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import type { Logger } from 'pino'
import type { GraphqlContext, Principal, Services } from '../context.ts'
import type { DocumentReader } from './document-reader.ts'
import { presentError, requestError } from './errors.ts'
import type { EventStreams } from './event-streams.ts'
import type { EdgeLimits } from './limits.ts'
import { performOnce, performSubscription } from './perform.ts'

export interface HttpOptions {
  schema: GraphQLSchema
  services: Services
  reader: DocumentReader
  streams: EventStreams
  limits: EdgeLimits
  log: Logger
}

/** One request that was let in. */
export interface Admitted {
  principal: Principal
  requestId: string
}

interface ServerContext extends Admitted {
  req: IncomingMessage
  res: ServerResponse
}

type Context = ServerContext & GraphqlContext

/** Serves GraphQL over HTTP, as single results or as server-sent events, for requests that were let in. */
export function httpHandler({ schema, services, reader, streams, limits, log }: HttpOptions) {
  const requestIds = new AsyncLocalStorage<string>()
  const yoga = createYoga<ServerContext, Services>({
    schema,
    context: () => services,
    graphqlEndpoint: '/graphql',
    graphiql: false,
    landingPage: false,
    cors: false,
    multipart: false,
    logging: false,
    parserAndValidationCache: false,
    maxRequestBodySize: limits.bodyBytes,
    maskedErrors: {
      maskError: (error) => {
        if (error instanceof SyntaxError)
          return requestError('BAD_REQUEST', 'A parameter of the URL is not valid JSON.', 400)
        return presentError(error, { log, requestId: requestIds.getStore() ?? 'unknown' })
      },
    },
    plugins: [performing({ reader, streams, log })],
  })
  return (req: IncomingMessage, res: ServerResponse, admitted: Admitted): void => {
    res.once('finish', () => {
      if (!req.complete) req.destroy()
    })
    requestIds.run(admitted.requestId, () => void yoga(req, res, admitted))
  }
}

/** Reads documents within the limits, and executes with errors masked under the request's id. */
function performing({ reader, streams, log }: Pick<HttpOptions, 'reader' | 'streams' | 'log'>): Plugin<Context> {
  // Yoga executes with the context that it was given above.
  const contextOf = (args: ExecutionArgs) => args.contextValue as Context
  return {
    onParse: ({ setParseFn }) => setParseFn((source: string) => reader.parse(source)),
    onValidate: ({ params, setResult }) => setResult([...reader.validate(params.documentAST)]),
    onExecute: ({ setExecuteFn }) =>
      setExecuteFn((args: ExecutionArgs) => performOnce(args, { log, requestId: contextOf(args).requestId })),
    onSubscribe: ({ setSubscribeFn }) =>
      setSubscribeFn(async (args: ExecutionArgs) => {
        const { requestId, req, res } = contextOf(args)
        if (!req.headers.accept?.includes('text/event-stream')) throw needsEventStream()
        streams.takePlace(res)
        const results = await performSubscription(args, { log, requestId })
        if (Symbol.asyncIterator in results) streams.add(results, res)
        return results
      }),
  }
}

function needsEventStream() {
  const message =
    'A subscription is answered as server-sent events: ask with "Accept: text/event-stream", or use a WebSocket.'
  return requestError('NOT_ACCEPTABLE', message, 406)
}
