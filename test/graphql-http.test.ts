import { request } from 'node:http'
import { connect } from 'node:net'
import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Edge, post, startEdge } from './kit/edge.ts'

let edge: Edge
beforeAll(async () => {
  edge = await startEdge()
})
afterAll(async () => edge[Symbol.asyncDispose]())

describe('GraphQL over HTTP', () => {
  test.each(serverAudits({ url: () => edge.url, fetchFn: fetch }).map((audit) => [audit.name, audit] as const))(
    'passes the public audit: %s',
    async (_name, audit) => {
      expect(await audit.fn()).toMatchObject({ status: 'ok' })
    },
  )

  test.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data', 'application/graphql'])(
    'takes no %s, so that no form of a foreign page performs a mutation',
    async (type) => {
      const body = type === 'application/graphql' ? 'mutation { poke }' : 'query=mutation+%7B+poke+%7D'
      const response = await fetch(edge.url, { method: 'POST', headers: { 'content-type': type }, body })
      expect(response.status).toBe(415)
      expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'UNSUPPORTED_MEDIA_TYPE' } }] })
      expect(edge.observed.pokes).toBe(0)
    },
  )

  test('answers queries by GET and refuses mutations by GET', async () => {
    const query = await fetch(`${edge.url}?query=${encodeURIComponent('{ hello }')}`)
    expect(await query.json()).toEqual({ data: { hello: 'Hello, you.' } })
    const mutation = await fetch(`${edge.url}?query=${encodeURIComponent('mutation { poke }')}`)
    expect(mutation.status).toBe(405)
    expect(edge.observed.pokes).toBe(0)
  })

  test('answers JSON in the URL that is none with 400 and a code', async () => {
    const response = await fetch(`${edge.url}?query=${encodeURIComponent('{ hello }')}&variables=nonsense`)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] })
  })

  test('takes no batches', async () => {
    const response = await fetch(edge.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([{ query: '{ hello }' }, { query: '{ hello }' }]),
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] })
  })

  test('sends no CORS headers, and its own protective ones', async () => {
    const { headers } = await post(edge.url, '{ hello }')
    expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('answers errors of parsing and validation afresh each time, with a code, no suggestions and status 400', async () => {
    for (let round = 0; round < 2; round += 1) {
      const parse = await post(edge.url, '{ hello(')
      expect([parse.status, parse.body.errors[0].extensions.code]).toEqual([400, 'GRAPHQL_PARSE_FAILED'])
      const validation = await post(edge.url, '{ helo }')
      expect([validation.status, validation.body.errors[0].extensions.code]).toEqual([400, 'GRAPHQL_VALIDATION_FAILED'])
      expect(validation.text).not.toContain('hello')
    }
  })

  test('answers variables of the wrong type with a code and status 400', async () => {
    const answer = await post(edge.url, 'query ($name: String) { hello(name: $name) }', { variables: { name: 7 } })
    expect([answer.status, answer.body.errors[0].extensions.code]).toEqual([400, 'BAD_USER_INPUT'])
  })

  test.each(['fail', 'refuse'])('masks a bug (%s): the client gets a request id, the log the cause', async (field) => {
    const { body, text, headers } = await post(edge.url, `{ ${field} }`)
    expect(text).not.toContain('hunter2')
    expect(text).not.toContain('select')
    const [{ path, extensions }] = body.errors
    expect({ path, extensions }).toEqual({
      path: [field],
      extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: headers.get('x-request-id') },
    })
    const line = edge.observed.lines.find(({ requestId }) => requestId === extensions.requestId)
    expect(line).toMatchObject({ level: 50, err: { message: expect.stringMatching(/select 1$|hunter2/) } })
    if (field === 'fail') expect(JSON.stringify(line)).not.toContain('hunter2')
  })
})

describe('The size of a request', () => {
  test('is limited when it is announced', async () => {
    const { status, body } = await post(edge.url, `# ${'x'.repeat(300 * 1024)}\n{ hello }`)
    expect([status, body.errors[0].extensions.code]).toEqual([413, 'LIMIT_EXCEEDED'])
  })

  test('is limited when it is not announced', async () => {
    const { promise: status, resolve, reject } = Promise.withResolvers<number | undefined>()
    const chunked = request(
      edge.url,
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      (response) => {
        response.resume()
        resolve(response.statusCode)
      },
    )
    chunked.on('error', reject)
    chunked.write(`{"query":"#${'x'.repeat(300 * 1024)}`)
    expect(await status).toBe(413)
    chunked.destroy()
  })

  test('is limited in time: a body that dribbles is cut, a stream of events is not', async () => {
    await using slow = await startEdge({ limits: { headersMs: 200, requestMs: 300 } })
    const leaving = new AbortController()
    const query = encodeURIComponent('subscription { silence }')
    await fetch(`${slow.url}?query=${query}`, { headers: { accept: 'text/event-stream' }, signal: leaving.signal })
    const socket = connect(slow.server.port, '127.0.0.1')
    socket.write(
      'POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
    )
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    expect(answer).toContain('408')
    expect(slow.server.connections.eventStreams).toBe(1)
    leaving.abort()
  })
})

describe('A document', () => {
  const nest = (levels: number) => `{ ${'me { '.repeat(levels - 1)}hello${' }'.repeat(levels - 1)} }`
  test.each([
    ['1,000 tokens', `{ ${'hello '.repeat(1000)} }`],
    ['14 levels', nest(15)],
    ['30 aliases', `{ ${Array.from({ length: 31 }, (_, index) => `a${index}: hello`).join(' ')} }`],
    ['8 directives', `{ hello ${'@include(if: true) '.repeat(9)} }`],
    ['10 operations', Array.from({ length: 11 }, (_, index) => `query Q${index} { hello }`).join('\n')],
    [
      '50 fragments',
      `{ hello }${Array.from({ length: 51 }, (_, index) => ` fragment F${index} on Query { hello }`).join('')}`,
    ],
    [
      '1,000 fields behind its fragments',
      `{ ...F0 }${Array.from({ length: 12 }, (_, index) => ` fragment F${index} on Query { a: me { ...F${index + 1} } b: me { ...F${index + 1} } }`).join('')} fragment F12 on Query { hello }`,
    ],
    [
      'the levels of introspection',
      `{ __schema { types { fields { type { ${'ofType { '.repeat(15)} name ${'}'.repeat(15)} } } } } }`,
    ],
  ])('has at most %s', async (_limit, query) => {
    const { status, body } = await post(edge.url, query)
    expect([status, body.errors[0].extensions.code]).toEqual([400, 'LIMIT_EXCEEDED'])
    expect(body.errors[0].message).toMatch(/\d/)
  })

  test('within the limits is answered', async () => {
    expect((await post(edge.url, nest(14))).body.errors).toBeUndefined()
  })

  test('whose fragments go in circles is refused, and not followed', async () => {
    const { status } = await post(
      edge.url,
      '{ ...A } fragment A on Query { me { ...B } } fragment B on Query { me { ...A } }',
    )
    expect(status).toBe(400)
  })

  test('with many errors is given up on', async () => {
    const { body } = await post(edge.url, `{ ${Array.from({ length: 200 }, (_, index) => `x${index}`).join(' ')} }`)
    expect(body.errors.length).toBeLessThanOrEqual(21)
  })
})
