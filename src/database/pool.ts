import postgres from 'postgres'
import { ConnectionLost, type Line, type MakeClient, openLine, type Statement } from './line.ts'
import { askFor, clientWith, transact } from './transact.ts'

/** How long disposing waits for what is still under way, ms. */
const longestEndMs = 5_000

export interface Pool extends AsyncDisposable {
  /** What drizzle takes for a client of the driver: it does what drizzle asks of one, statements and transactions. */
  client: postgres.Sql
}

/**
 * A pool of connections to the metadata database. One that is lost fails what was under way on it, and is thrown away
 * with its client. The driver's own pool goes on with such a client: what was not yet sent then silences it for ever, and
 * the rollback of the transaction that was broken off ends the whole process.
 */
export function openPool(
  url: string,
  options: postgres.Options<Record<string, never>>,
  { size, longestSilenceMs }: { size: number; longestSilenceMs: number },
): Pool {
  // Never connected: drizzle changes how its values are read and written, which all others then do as well.
  const pattern = postgres(url, options)
  const makeClient: MakeClient = ({ onclose }) => {
    // The driver's own question for the types of arrays is left out: nobody catches its failure, which ends the process.
    const client = postgres(url, { ...options, max: 1, max_lifetime: null, fetch_types: false, onclose })
    Object.assign(client.options.parsers, pattern.options.parsers)
    Object.assign(client.options.serializers, pattern.options.serializers)
    return client
  }
  const lines = new Set<Line>()
  const idle: Line[] = []
  const waiting: (() => void)[] = []
  let taken = 0
  const quiet = Promise.withResolvers<void>()
  let isClosing = false

  const forgetLost = () => {
    for (const line of lines) if (line.isLost) lines.delete(line)
  }
  const takeIdle = () => {
    let line = idle.pop()
    while (line?.isLost) line = idle.pop()
    return line
  }
  const open = async () => {
    const line = await openLine(makeClient, forgetLost, longestSilenceMs)
    lines.add(line)
    return line
  }
  const withLine = async <Result>(work: (line: Line) => Promise<Result>): Promise<Result> => {
    if (taken >= size) await new Promise<void>((resolve) => waiting.push(resolve))
    else taken++
    let line: Line | undefined
    try {
      if (isClosing) throw new ConnectionLost()
      line = takeIdle() ?? (await open())
      return await work(line)
    } finally {
      if (line && !line.isLost) idle.push(line)
      const next = waiting.shift()
      if (next) next()
      else if (--taken === 0 && isClosing) quiet.resolve()
    }
  }
  const unsafe = (...statement: Statement) => askFor((form) => withLine((line) => line.run(statement, form)))
  const begin = <Result>(work: (client: postgres.Sql) => Promise<Result>) =>
    withLine((line) => transact(pattern, line, work))
  return {
    client: clientWith(pattern, { unsafe, begin }),
    async [Symbol.asyncDispose]() {
      isClosing = true
      const timer = setTimeout(quiet.resolve, longestEndMs)
      if (taken > 0) await quiet.promise
      clearTimeout(timer)
      await Promise.all([...lines].map((line) => line.cut()))
    },
  }
}
