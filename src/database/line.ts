import type postgres from 'postgres'

export type Statement = Parameters<postgres.Sql['unsafe']>
export type Answer = postgres.RowList<postgres.Row[]>

/** The connection is gone, and with it what was to be done on it; the code is the driver's own. */
export class ConnectionLost extends Error {
  readonly code = 'CONNECTION_CLOSED'

  constructor() {
    super('The connection to the metadata database was lost.')
    this.name = 'ConnectionLost'
  }
}

/** One connection, which is never replaced by another behind its user's back. */
export interface Line {
  /**
   * Sends a statement; several may be under way, and are done in order. Throws ConnectionLost once it is lost, also when
   * nothing was answered for as long as the line may be silent.
   */
  run(statement: Statement, form?: 'OBJECTS' | 'VALUES'): Promise<Answer>
  readonly isLost: boolean
  /** Cuts it off, whatever is under way. */
  cut(): Promise<void>
}

/** How long a connection may take to be made, ms. The driver itself tries for ever when a server hangs up at once. */
const longestConnectMs = 5_000

/** Makes a client of the driver that is not connected yet. */
export type MakeClient = (options: { onclose: () => void }) => postgres.Sql

/**
 * Connects; `onLost` is called once, before anyone else can learn of it. Throws what the driver says when it cannot.
 * A line that leaves what it was asked unanswered for longer than `longestSilenceMs` counts as lost, and is cut off.
 */
export async function openLine(makeClient: MakeClient, onLost: () => void, longestSilenceMs: number): Promise<Line> {
  let isLost = false
  let silence: NodeJS.Timeout | undefined
  const pending = new Set<(cause: ConnectionLost) => void>()
  const lose = () => {
    if (isLost) return
    isLost = true
    clearTimeout(silence)
    onLost()
    for (const fail of pending) fail(new ConnectionLost())
  }
  // The driver never settles some of the statements that a lost connection had not answered.
  const orLost = async <Result>(work: PromiseLike<Result>): Promise<Result> => {
    const { promise: lost, reject } = Promise.withResolvers<never>()
    pending.add(reject)
    return Promise.race([work, lost]).finally(() => pending.delete(reject))
  }
  const client = makeClient({ onclose: lose })
  const cut = async () => {
    lose()
    await client.end({ timeout: 0 })
  }
  // The driver waits for ever for a network that says nothing. Every answer is a sign of life for those still to come.
  const listenFor = () => {
    clearTimeout(silence)
    if (pending.size > 0 && !isLost) silence = setTimeout(() => void cut(), longestSilenceMs)
  }
  const answerTo = async (work: PromiseLike<Answer>): Promise<Answer> => {
    const answer = orLost(work).finally(listenFor)
    if (pending.size === 1) listenFor()
    return answer
  }
  const timer = setTimeout(() => void cut(), longestConnectMs)
  try {
    await orLost(client.unsafe('select 1'))
  } catch (cause) {
    await cut()
    throw cause
  } finally {
    clearTimeout(timer)
  }
  return {
    async run(statement, form = 'OBJECTS') {
      if (isLost) throw new ConnectionLost()
      const query = sentWhole(client.unsafe(...statement))
      return answerTo(form === 'VALUES' ? query.values() : query)
    },
    get isLost() {
      return isLost
    },
    cut,
  }
}

/**
 * Has the driver send a statement and its parameters together. It would else ask for the parameters' types first, and a
 * client that is cut off before it sends the rest keeps its transaction's locks for ever: to the server it is not idle, but
 * busy, and no time limit reaches it.
 */
function sentWhole<Query extends object>(query: Query): Query {
  return Object.defineProperty(query, 'describeFirst', { get: () => false, set: () => {} })
}
