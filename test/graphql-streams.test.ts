import { once } from 'node:events'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Edge, post, startEdge } from './kit/edge.ts'
import { waitFor, within } from './kit/wait-for.ts'

let edge: Edge
beforeAll(async () => {
  edge = await startEdge({ limits: { connectionInitMs: 300 } })
})
afterAll(async () => edge[Symbol.asyncDispose]())

const freed = () => waitFor('every source is freed', () => edge.observed.openSources === 0)

/** A socket that speaks the protocol by hand: what it was sent, and how it was closed. */
async function rawSocket(url = edge.socketUrl, { isInitialised = true, headers = {} } = {}) {
  const socket = new WebSocket(url, 'graphql-transport-ws', { headers })
  const messages: { type: string; id?: string; payload?: unknown }[] = []
  socket.on('message', (data) => messages.push(JSON.parse(String(data))))
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  await once(socket, 'open')
  const say = (message: unknown) => socket.send(JSON.stringify(message))
  const heard = (type: string, id?: string) =>
    waitFor(`a message ${type}`, () => messages.find((message) => message.type === type && message.id === id))
  if (isInitialised) {
    say({ type: 'connection_init' })
    await heard('connection_ack')
  }
  return { socket, messages, closed, say, heard }
}

describe('A WebSocket', () => {
  test('carries queries, mutations and subscriptions of the usual client', async () => {
    const client = createClient({ url: edge.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0 })
    const answers = []
    for (const query of ['{ hello }', 'subscription { ticks(to: 3) }']) {
      for await (const answer of client.iterate({ query })) answers.push(answer)
    }
    await client.dispose()
    expect(answers).toEqual([{ data: { hello: 'Hello, you.' } }, ...[1, 2, 3].map((ticks) => ({ data: { ticks } }))])
  })

  test('executes every event with a context of its own', async () => {
    edge.observed.contexts.clear()
    const { say, heard, socket } = await rawSocket()
    say({ id: '1', type: 'subscribe', payload: { query: 'subscription { ticks(to: 3) }' } })
    await heard('complete', '1')
    expect(edge.observed.contexts.size).toBe(3)
    socket.close()
  })

  test('stays open after a document that cannot be read, and answers an error with a code', async () => {
    const { say, heard, socket } = await rawSocket()
    for (const [id, query, code] of [
      ['1', '{ hello(', 'GRAPHQL_PARSE_FAILED'],
      ['2', '{ helo }', 'GRAPHQL_VALIDATION_FAILED'],
      ['3', `{ ${'hello '.repeat(1000)} }`, 'LIMIT_EXCEEDED'],
    ]) {
      say({ id, type: 'subscribe', payload: { query } })
      expect((await heard('error', id)).payload).toMatchObject([{ extensions: { code } }])
    }
    say({ id: '4', type: 'subscribe', payload: { query: '{ hello }' } })
    expect((await heard('next', '4')).payload).toEqual({ data: { hello: 'Hello, you.' } })
    expect(socket.readyState).toBe(WebSocket.OPEN)
    socket.close()
  })

  test.each([
    ['{ fail }', '1'],
    ['subscription { trouble }', '2'],
  ])('masks a bug in %s and tells the request id', async (query, id) => {
    const { say, heard, messages, socket } = await rawSocket()
    say({ id, type: 'subscribe', payload: { query } })
    await heard('complete', id)
    expect(JSON.stringify(messages)).not.toContain('hunter2')
    const last = messages.findLast(({ type }) => type === 'next')
    expect(last?.payload).toMatchObject({
      errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) } }],
    })
    expect(JSON.stringify(last)).not.toContain('"http"')
    socket.close()
    await freed()
  })

  test.each<[string, () => Promise<{ closed: Promise<number> }>, number]>([
    ['says nothing in time', () => rawSocket(undefined, { isInitialised: false }), 4408],
    [
      'subscribes before it is let in',
      async () => {
        const raw = await rawSocket(undefined, { isInitialised: false })
        raw.say({ id: '1', type: 'subscribe', payload: { query: '{ hello }' } })
        return raw
      },
      4401,
    ],
    [
      'says what is no message',
      async () => {
        const raw = await rawSocket()
        raw.socket.send('{"type":"nonsense"}')
        return raw
      },
      4400,
    ],
    [
      'introduces itself twice',
      async () => {
        const raw = await rawSocket()
        raw.say({ type: 'connection_init' })
        return raw
      },
      4429,
    ],
    [
      'uses an id twice',
      async () => {
        const raw = await rawSocket()
        for (const _ of [1, 2]) raw.say({ id: '1', type: 'subscribe', payload: { query: 'subscription { silence }' } })
        return raw
      },
      4409,
    ],
    [
      'sends more than 64 KiB',
      async () => {
        const raw = await rawSocket()
        raw.say({ id: '1', type: 'subscribe', payload: { query: `# ${'x'.repeat(65_536)}\n{ hello }` } })
        return raw
      },
      1009,
    ],
  ])('that %s is closed with the code of the protocol', async (_what, misbehave, code) => {
    const { closed } = await misbehave()
    expect(await within('the close', closed)).toBe(code)
    await freed()
  })

  test('that speaks another protocol is closed', async () => {
    const socket = new WebSocket(edge.socketUrl, 'graphql-ws')
    await expect(once(socket, 'open')).rejects.toThrow('no subprotocol')
  })

  test('frees a subscription that waits when the client completes it, closes, or is cut', async () => {
    for (const leave of ['complete', 'close', 'terminate'] as const) {
      const { say, socket } = await rawSocket()
      say({ id: '1', type: 'subscribe', payload: { query: 'subscription { silence }' } })
      await waitFor('the source is held', () => edge.observed.openSources === 1)
      if (leave === 'complete') say({ id: '1', type: 'complete' })
      else socket[leave]()
      await freed()
      socket.terminate()
    }
  })

  test('frees a subscription that never waits when it is cut', async () => {
    const { say, socket, heard } = await rawSocket()
    say({ id: '1', type: 'subscribe', payload: { query: 'subscription { ticks(to: 1000000) }' } })
    await heard('next', '1')
    socket.terminate()
    await freed()
    expect((await post(edge.url, '{ hello }')).status).toBe(200)
  })

  test('runs at most as many operations as the limit, and there are at most as many sockets', async () => {
    await using small = await startEdge({ limits: { subscriptionsPerSocket: 2, sockets: 1 } })
    const { say, heard, socket } = await rawSocket(small.socketUrl)
    for (const id of ['1', '2', '3']) say({ id, type: 'subscribe', payload: { query: 'subscription { silence }' } })
    expect((await heard('error', '3')).payload).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED' } }])
    expect(small.observed.openSources).toBe(2)
    await expect(rawSocket(small.socketUrl)).rejects.toThrow('503')
    socket.terminate()
    await waitFor('the socket is gone', () => small.server.connections.sockets === 0)
  })
})

describe('Server-sent events', () => {
  const sse = (query: string, { url = edge.url, signal }: { url?: string; signal?: AbortSignal } = {}) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query }),
      ...(signal && { signal }),
    })

  test('carry a subscription to its end', async () => {
    const response = await sse('subscription { ticks(to: 2) }')
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const text = (await response.text()).replaceAll(/^:\n\n/gm, '')
    expect(text.replaceAll('\n\n', '\n').trim().split('\n')).toEqual([
      'event: next',
      'data: {"data":{"ticks":1}}',
      'event: next',
      'data: {"data":{"ticks":2}}',
      'event: complete',
      'data:',
    ])
  })

  test('mask a bug of the source', async () => {
    const text = await (await sse('subscription { trouble }')).text()
    expect(text).toContain('INTERNAL_SERVER_ERROR')
    expect(text).not.toContain('hunter2')
    await freed()
  })

  test('free a subscription that waits when the client goes', async () => {
    const leaving = new AbortController()
    await sse('subscription { silence }', { signal: leaving.signal })
    await waitFor('the source is held', () => edge.observed.openSources === 1)
    expect(edge.server.connections.eventStreams).toBe(1)
    leaving.abort()
    await freed()
    expect(edge.server.connections.eventStreams).toBe(0)
  })

  test('free a subscription that never waits when the client goes', async () => {
    const leaving = new AbortController()
    const response = await sse('subscription { ticks(to: 100000000) }', { signal: leaving.signal })
    await response.body?.getReader().read()
    leaving.abort()
    await freed()
  })

  test('are what a subscription by HTTP must ask for', async () => {
    const { status, body } = await post(edge.url, 'subscription { ticks(to: 1) }')
    expect([status, body.errors[0].extensions.code]).toEqual([406, 'NOT_ACCEPTABLE'])
    expect(edge.observed.openSources).toBe(0)
  })

  test('are limited in number', async () => {
    await using small = await startEdge({ limits: { eventStreams: 1 } })
    const leaving = new AbortController()
    const burst = Array.from({ length: 5 }, () =>
      sse('subscription { silence }', { url: small.url, signal: leaving.signal }),
    )
    await Promise.all(burst)
    expect(small.observed.openSources).toBe(1)
    const second = await sse('subscription { silence }', { url: small.url })
    expect(await second.text()).toContain('LIMIT_EXCEEDED')
    expect(small.observed.openSources).toBe(1)
    leaving.abort()
  })
})

describe('Stopping', () => {
  test('closes sockets with 1001, cuts event streams without calling them complete, and lets requests finish', async () => {
    const stopping = await startEdge()
    const { closed, say } = await rawSocket(stopping.socketUrl)
    say({ id: '1', type: 'subscribe', payload: { query: 'subscription { silence }' } })
    const stream = await fetch(`${stopping.url}?query=${encodeURIComponent('subscription { silence }')}`, {
      headers: { accept: 'text/event-stream' },
    })
    await waitFor('both sources are held', () => stopping.observed.openSources === 2)
    const slow = post(stopping.url, '{ slow }')
    await stopping.observed.begun
    const stopped = Promise.resolve(stopping.server[Symbol.asyncDispose]())
    expect(await within('the close', closed)).toBe(1001)
    const text = await stream.text().catch((error: Error) => error.message)
    expect(text).not.toContain('complete')
    await expect(post(stopping.url, '{ hello }')).rejects.toThrow()
    stopping.observed.release()
    expect((await slow).body).toEqual({ data: { slow: 'done' } })
    await within('the stop', stopped)
    expect(stopping.observed.openSources).toBe(0)
  })

  test('waits for a request no longer than its bound', async () => {
    const stopping = await startEdge({ limits: { stopMs: 100 } })
    const slow = post(stopping.url, '{ slow }').catch(() => 'cut')
    await stopping.observed.begun
    await within('the stop', Promise.resolve(stopping.server[Symbol.asyncDispose]()))
    expect(await slow).toBe('cut')
    stopping.observed.release()
  })
})
