import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { send } from './answer.ts'
import { firstTab, secondTab } from './first-tab.ts'

const compress = promisify(gzip)

interface Page {
  html: Buffer
  gzipped: Buffer
  policy: string
}

let page: Promise<Page> | undefined

/** Whether a browser asks for the page rather than a program for an answer. */
export function asksForPage({ method, headers }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && headers.accept?.includes('text/html') === true
}

/**
 * Answers GraphiQL, whole in one page that asks no other origin for anything. Its subscriptions come as server-sent
 * events, which carry what the headers tab says; headers (a token may be among them) are not kept in the browser.
 */
export async function sendGraphiql(request: IncomingMessage, response: ServerResponse): Promise<void> {
  page ??= makePage()
  const { html, gzipped, policy } = await page
  const isGzipped = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
  send(request, response, 200, isGzipped ? gzipped : html, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    vary: 'accept, accept-encoding',
    ...(isGzipped && { 'content-encoding': 'gzip' }),
  })
}

async function makePage(): Promise<Page> {
  // 9 MB of text: only for a service whose page is opened.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const text = renderGraphiQL({
    title: 'Holdfast',
    defaultTabs: [{ query: firstTab }, { query: secondTab }],
    shouldPersistHeaders: false,
    defaultEditorToolsVisibility: true,
  })
  const html = Buffer.from(text)
  return { html, gzipped: await compress(html), policy: policyOf(text) }
}

/** Only the page's own script runs, named by its digest; its styles and workers are made while it runs. */
function policyOf(text: string): string {
  const start = text.indexOf('<script>') + '<script>'.length
  const script = text.slice(start, text.indexOf('</script>', start))
  // A browser reads every kind of line end as a newline before it takes the digest.
  const digest = createHash('sha256').update(script.replaceAll(/\r\n?/g, '\n')).digest('base64')
  return [
    "default-src 'none'",
    `script-src 'sha256-${digest}'`,
    "style-src 'unsafe-inline'",
    'worker-src blob:',
    "connect-src 'self'",
    "img-src 'self' data:",
    'font-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
