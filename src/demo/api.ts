import { createClient } from 'graphql-ws'

/** Holdfast's GraphQL API, used as every client would: HTTP for questions and commands, a WebSocket to watch. */
export interface Api extends AsyncDisposable {
  /** Answers a query's data; throws when the answer has errors. */
  ask<Answer>(query: string, variables?: Record<string, unknown>): Promise<Answer>
  /** Runs one mutation and answers the selected fields of its payload; throws Refused when Holdfast says no. */
  command<Payload>(name: string, input: Record<string, unknown>, selection: string): Promise<Payload>
  /** Everything that a subscription sends, until it completes; throws when it fails. */
  watch<Event>(subscription: string, variables: Record<string, unknown>): AsyncIterable<Event>
}

/** Holdfast said no to a command: why, and what to do about it. */
export class Refused extends Error {
  readonly kind: string

  constructor(command: string, { __typename, message, recommendedActions }: Refusal) {
    super(
      [`${command} was refused (${__typename}): ${message}`, ...recommendedActions.map((each) => `→ ${each}`)].join(
        '\n',
      ),
    )
    this.kind = __typename
  }
}

interface Refusal {
  __typename: string
  message: string
  recommendedActions: string[]
}

interface Reply<Answer> {
  data?: Answer | null | undefined
  errors?: readonly { message: string }[] | undefined
}

/** Connects to the API at an address such as "http://127.0.0.1:4000". */
export function connectApi(url: string, signal: AbortSignal): Api {
  const socket = createClient({ url: `${url.replace('http', 'ws')}/graphql`, retryAttempts: 5 })

  async function ask<Answer>(query: string, variables: Record<string, unknown> = {}): Promise<Answer> {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query, variables }),
      signal,
    })
    const reply: Reply<Answer> = await response.json()
    return dataOf(reply)
  }

  return {
    ask,
    async command<Payload>(name: string, input: Record<string, unknown>, selection: string) {
      const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
      const answer = await ask<{ result: Payload | Refusal }>(
        `mutation ($input: ${type}Input!) {
          result: ${name}(input: $input) {
            __typename
            ... on ${type}Payload { ${selection} }
            ... on Refusal { message recommendedActions }
          }
        }`,
        { input },
      )
      if (isRefusal(answer.result)) throw new Refused(name, answer.result)
      return answer.result
    },
    async *watch<Event>(query: string, variables: Record<string, unknown>) {
      const events = socket.iterate<Event>({ query, variables })
      const stop = () => void events.return?.()
      signal.addEventListener('abort', stop, { once: true })
      try {
        for await (const event of events) yield dataOf(event)
        signal.throwIfAborted()
      } finally {
        signal.removeEventListener('abort', stop)
      }
    },
    [Symbol.asyncDispose]: async () => socket.dispose(),
  }
}

function isRefusal(result: unknown): result is Refusal {
  return typeof result === 'object' && result !== null && 'recommendedActions' in result
}

function dataOf<Answer>({ data, errors }: Reply<Answer>): Answer {
  if (errors?.length) throw new Error(`The API answered: ${errors.map(({ message }) => message).join(' ')}`)
  if (data === undefined || data === null) throw new Error('The API answered nothing.')
  return data
}
