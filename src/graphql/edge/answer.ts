import type { IncomingMessage, ServerResponse } from 'node:http'

/** Why a request is turned away before GraphQL sees it. */
export interface Rejection {
  status: number
  code: string
  message: string
  headers?: Record<string, string>
}

/** Answers a rejection as GraphQL would: an `errors` list whose error has a code. */
export function reject(
  request: IncomingMessage,
  response: ServerResponse,
  { status, code, message, headers = {} }: Rejection,
): void {
  const errors = [{ message, extensions: { code } }]
  send(request, response, status, `${JSON.stringify({ errors })}\n`, {
    'content-type': 'application/json; charset=utf-8',
    ...headers,
  })
}

/** Answers text; closes the connection when the request's body was not read to its end. */
export function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  headers: Record<string, string> = { 'content-type': 'text/plain; charset=utf-8' },
): void {
  const hasUnreadBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0
  if (hasUnreadBody) response.setHeader('connection', 'close')
  response.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(body)) })
  response.end(request.method === 'HEAD' ? undefined : body)
}
