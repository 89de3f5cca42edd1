import { once } from 'node:events'
import { type OutgoingHttpHeaders, request } from 'node:http'
import { createClient } from 'graphql-ws'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { post, startEdge } from './kit/edge.ts'
import { quietHealth } from './kit/quiet-health.ts'
import { waitFor } from './kit/wait-for.ts'

/** Asks with headers that fetch would not let through; answers the status and the code of the error. */
async function ask(url: string, headers: OutgoingHttpHeaders, method = 'POST') {
  const asked = request(url, { method, headers: { 'content-type': 'application/json', ...headers } })
  asked.end(method === 'POST' ? JSON.stringify({ query: '{ viewer }' }) : undefined)
  const [response] = await once(asked, 'response')
  let text = ''
  for await (const chunk of response) text += chunk
  const isJson = String(response.headers['content-type']).includes('json')
  return { status: response.statusCode, code: isJson ? JSON.parse(text).errors?.[0]?.extensions.code : undefined }
}

/** Opens a socket; answers how it was refused, or "open". */
async function opens(url: string, headers: Record<string, string>): Promise<string> {
  const socket = new WebSocket(url, 'graphql-transport-ws', { headers })
  const outcome = await Promise.race([
    once(socket, 'open').then(() => 'open'),
    once(socket, 'error').then(([error]) => String(error.message)),
  ]).catch((error: Error) => error.message)
  socket.terminate()
  return outcome
}

describe('Without a token', () => {
  test('anyone who names this machine is let in, as "local"', async () => {
    await using edge = await startEdge()
    for (const host of ['localhost', '127.0.0.1', '[::1]', `LOCALHOST:${edge.server.port}`]) {
      expect(await ask(edge.url, { host })).toEqual({ status: 200, code: undefined })
    }
    expect((await post(edge.url, '{ viewer }')).body.data.viewer).toBe('local')
  })

  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'localhost@evil.example'])(
    'a foreign name that points here (%s) is turned away',
    async (host) => {
      await using edge = await startEdge()
      for (const method of ['POST', 'GET']) {
        const { status } = await ask(edge.url, { host, accept: method === 'GET' ? 'text/html' : '*/*' }, method)
        expect([400, 421]).toContain(status)
      }
      expect(await opens(edge.socketUrl, { host })).toMatch(/421|400/)
    },
  )
})

describe('A page of another origin', () => {
  test.each(['https://evil.example', 'null', 'http://localhost:1', 'http://localhost.evil.example'])(
    '(%s) can neither post nor open a socket',
    async (origin) => {
      await using edge = await startEdge()
      expect(await ask(edge.url, { origin })).toEqual({ status: 403, code: 'ORIGIN_NOT_ALLOWED' })
      expect(await opens(edge.socketUrl, { origin })).toContain('403')
    },
  )

  test('is told from our own', async () => {
    await using edge = await startEdge()
    const origin = `http://127.0.0.1:${edge.server.port}`
    expect(await ask(edge.url, { origin })).toEqual({ status: 200, code: undefined })
    expect(await opens(edge.socketUrl, { origin })).toBe('open')
  })
})

describe('With a token', () => {
  const apiToken = 'a-token-of-some-length'

  test('every request must show it, and no answer says how much of it was right', async () => {
    await using edge = await startEdge({ apiToken })
    for (const authorization of [undefined, '', apiToken, `Basic ${apiToken}`, `Bearer ${apiToken}x`, 'Bearer a']) {
      const headers = { host: 'backup.example', ...(authorization !== undefined && { authorization }) }
      expect(await ask(edge.url, headers)).toEqual({ status: 401, code: 'UNAUTHENTICATED' })
    }
    const { body } = await post(edge.url, '{ viewer }', { headers: { authorization: `Bearer ${apiToken}` } })
    expect(body).toEqual({ data: { viewer: 'api-token' } })
  })

  test.each(['[', 'a b', 'user@host', 'host:99999999'])('a Host that names none (%s) is turned away', async (host) => {
    await using edge = await startEdge({ apiToken })
    const { status } = await ask(edge.url, { host, authorization: `Bearer ${apiToken}` })
    expect(status).toBe(400)
  })

  test('every socket must show it, in its first message or with its upgrade', async () => {
    await using edge = await startEdge({ apiToken })
    const answer = async (connectionParams: Record<string, string>, headers: Record<string, string> = {}) => {
      class Socket extends WebSocket {
        constructor(url: string, protocol: string) {
          super(url, protocol, { headers })
        }
      }
      const client = createClient({ url: edge.socketUrl, webSocketImpl: Socket, retryAttempts: 0, connectionParams })
      try {
        const { value } = await client.iterate({ query: '{ viewer }' }).next()
        return value.data.viewer
      } catch (event) {
        return event
      } finally {
        await client.dispose()
      }
    }
    expect(await answer({})).toMatchObject({ code: 4403 })
    expect(await answer({ authorization: 'Bearer wrong' })).toMatchObject({ code: 4403 })
    expect(await answer({ authorization: `Bearer ${apiToken}` })).toBe('api-token')
    expect(await answer({}, { authorization: `Bearer ${apiToken}` })).toBe('api-token')
  })

  test('the page is served without it, health and metrics too', async () => {
    await using edge = await startEdge({ apiToken })
    for (const path of ['/graphql', '/healthz', '/readyz', '/metrics']) {
      const response = await fetch(new URL(path, edge.url), { headers: { accept: 'text/html' } })
      expect([path, response.status]).toEqual([path, 200])
    }
  })
})

describe('Health', () => {
  test('says that the process lives, and whether it can serve', async () => {
    let isDown = false
    await using edge = await startEdge({
      readiness: async () => {
        if (isDown) throw new Error('select 1', { cause: Object.assign(new Error(''), { code: 'ECONNREFUSED' }) })
      },
    })
    const look = async (path: string) => {
      const response = await fetch(new URL(path, edge.url))
      return [response.status, await response.text()]
    }
    expect(await look('/readyz')).toEqual([200, 'ok\n'])
    isDown = true
    expect(await look('/readyz')).toEqual([503, 'The metadata database does not answer (ECONNREFUSED).\n'])
    expect(await look('/healthz')).toEqual([200, 'ok\n'])
    expect((await look('/elsewhere'))[0]).toBe(404)
    expect((await look('/__proto__'))[0]).toBe(404)
    expect((await fetch(new URL('/healthz', edge.url), { method: 'DELETE' })).status).toBe(405)
  })

  test('says whether a worker has been seen within a minute', async () => {
    let seconds: number | null = null
    await using edge = await startEdge({ workerSeenSeconds: async () => seconds })
    const look = async () => {
      const response = await fetch(new URL('/healthz/worker', edge.url))
      return [response.status, await response.text()]
    }
    expect(await look()).toEqual([503, 'No worker has been seen ever.\n'])
    seconds = 60
    expect(await look()).toEqual([200, 'ok\n'])
    seconds = 61
    expect(await look()).toEqual([503, 'No worker has been seen for 61 s.\n'])
  })

  test('says that the database does not answer, soon and in a sentence, wherever it is asked', async () => {
    const refuses = async () => {
      throw new Error('select 1', { cause: Object.assign(new Error(''), { code: 'ECONNREFUSED' }) })
    }
    const isSilent = () => new Promise<never>(() => {})
    const answers = async (ask: () => Promise<never>) => {
      await using edge = await startEdge({ readiness: ask, workerSeenSeconds: ask, collect: ask })
      const look = async (path: string) => {
        const response = await fetch(new URL(path, edge.url), { signal: AbortSignal.timeout(8_000) })
        return `${response.status} ${await response.text()}`
      }
      const seen = await Promise.all(['/readyz', '/healthz/worker', '/metrics'].map(look))
      expect(edge.observed.lines).toEqual([])
      return seen
    }
    expect(await answers(refuses)).toEqual(Array(3).fill('503 The metadata database does not answer (ECONNREFUSED).\n'))
    expect(await answers(isSilent)).toEqual(Array(3).fill('503 The metadata database does not answer.\n'))
  })

  test('counts jobs, sockets and streams for Prometheus', async () => {
    let asked = 0
    await using edge = await startEdge({
      collect: async () => ({
        ...(await quietHealth.collect()),
        jobs: [{ operation: 'BACKUP', status: 'FAILED', count: 2 + asked++ }],
        oldestQueuedSeconds: 3600,
        workerSeenSeconds: null,
        overdueCount: 4,
        byHealth: [{ health: 'DEGRADED', count: 5 }],
        suspectPointCount: 6,
      }),
    })
    const socket = new WebSocket(edge.socketUrl, 'graphql-transport-ws')
    await once(socket, 'open')
    const text = await waitFor('the metrics', async () => (await fetch(new URL('/metrics', edge.url))).text())
    expect(text).toContain('holdfast_jobs{operation="BACKUP",status="FAILED"} 2\n')
    expect(text).toContain('holdfast_websockets 1\n')
    expect(text).toContain('holdfast_instances_overdue 4\n')
    expect(text).toContain('holdfast_instances{health="DEGRADED"} 5\n')
    expect(text).toContain('holdfast_recovery_points_suspect 6\n')
    expect(text).toContain('holdfast_oldest_queued_job_seconds 3600\n')
    expect(text).not.toContain('holdfast_worker_last_seen_seconds')
    await Promise.all([1, 2, 3].map(() => fetch(new URL('/metrics', edge.url))))
    expect(asked).toBe(1)
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
    socket.terminate()
  })

  test('answers metrics that cannot be collected with 500 and nothing more', async () => {
    await using edge = await startEdge({
      collect: async () => {
        throw new Error('hunter2')
      },
    })
    const response = await fetch(new URL('/metrics', edge.url))
    expect([response.status, await response.text()]).toEqual([500, ''])
    expect(edge.observed.lines.at(-1)?.requestId).toBe(response.headers.get('x-request-id'))
  })
})
