/** What one request, socket or process may ask of the API; those that somebody may want otherwise are settings, with these defaults. */
export interface EdgeLimits {
  /** Tokens of a document. */
  tokens: number
  /** Levels of fields below the operation. */
  depth: number
  /** The same inside `__schema` and `__type`: the usual introspection query is 13 levels deep. */
  introspectionDepth: number
  aliases: number
  directives: number
  operations: number
  fragments: number
  /** Fields of an operation once its fragments are put in place. */
  fields: number
  /** Errors that validation lists before it gives up. */
  validationErrors: number
  bodyBytes: number
  socketMessageBytes: number
  /** Operations that run at once on one WebSocket. */
  subscriptionsPerSocket: number
  /** WebSockets of the process. */
  sockets: number
  /** Streams of server-sent events of the process. */
  eventStreams: number
  connectionInitMs: number
  headersMs: number
  requestMs: number
  /** How long a stop waits for requests under way and for sockets to close. */
  stopMs: number
  /** Documents kept parsed and validated, of up to 8 KiB each. */
  cachedDocuments: number
}

export const defaultLimits: EdgeLimits = {
  tokens: 1000,
  depth: 14,
  introspectionDepth: 16,
  aliases: 30,
  directives: 8,
  operations: 10,
  fragments: 50,
  fields: 1000,
  validationErrors: 20,
  bodyBytes: 256 * 1024,
  socketMessageBytes: 64 * 1024,
  subscriptionsPerSocket: 100,
  sockets: 500,
  eventStreams: 500,
  connectionInitMs: 3000,
  headersMs: 10_000,
  requestMs: 30_000,
  stopMs: 5000,
  cachedDocuments: 100,
}
