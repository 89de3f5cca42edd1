import type postgres from 'postgres'
import type { Answer, Line, Statement } from './line.ts'

type Work<Result> = (client: postgres.Sql) => Promise<Result>

/** An answer that is asked for when someone waits for it or wants it as arrays, like the driver's own. */
export function askFor(
  run: (form: 'OBJECTS' | 'VALUES') => Promise<Answer>,
): Promise<Answer> & { values(): Promise<Answer> } {
  let form: 'OBJECTS' | 'VALUES' = 'OBJECTS'
  // In a microtask: by then it is known in which form it is wanted.
  const answer = Promise.resolve().then(() => run(form))
  const values = () => {
    form = 'VALUES'
    return answer
  }
  return Object.assign(answer, { values })
}

/** The driver's client with some of what it does done otherwise. */
export function clientWith(pattern: postgres.Sql, others: Record<string, unknown>): postgres.Sql {
  return new Proxy(pattern, {
    get: (target, name) => Reflect.get(Object.hasOwn(others, name) ? others : target, name),
  })
}

/**
 * Does the work in one transaction on the line: all of it, or none when it throws or the line is lost. Nothing is sent
 * after the line is lost, nor after the end of the transaction.
 */
export async function transact<Result>(pattern: postgres.Sql, line: Line, work: Work<Result>): Promise<Result> {
  let isOver = false
  let depth = 0
  const run = async (form: 'OBJECTS' | 'VALUES', ...statement: Statement) => {
    if (isOver) throw new Error('The transaction is over.')
    return line.run(statement, form)
  }
  const command = (text: string) => line.run([text])
  const savepoint = async <Part>(part: Work<Part>): Promise<Part> => {
    const name = `savepoint_${++depth}`
    await command(`savepoint ${name}`)
    try {
      const result = await part(client)
      await command(`release savepoint ${name}`)
      return result
    } catch (cause) {
      if (!line.isLost) await command(`rollback to savepoint ${name}`)
      throw cause
    }
  }
  const unsafe = (...statement: Statement) => askFor((form) => run(form, ...statement))
  const client = clientWith(pattern, { unsafe, savepoint })

  await command('begin')
  try {
    const result = await work(client)
    isOver = true
    const end = await command('commit')
    // A statement had failed, though the work went on: the server has undone it all.
    if (end.command !== 'COMMIT') throw new Error('The transaction had failed and was rolled back.')
    return result
  } catch (cause) {
    isOver = true
    // A line whose transaction cannot be ended is of no more use.
    if (!line.isLost) await command('rollback').catch(() => line.cut())
    throw cause
  }
}
