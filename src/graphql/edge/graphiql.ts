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
 * events, which carry what the headers tab says; nothing that is typed is kept in the browser once the page is left: passwords
 * and keys may be among it, in queries and variables as well as in headers.
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
  const rendered = renderGraphiQL({
    title: 'Holdfast',
    defaultTabs: [{ query: firstTab }, { query: secondTab }],
    shouldPersistHeaders: false,
    defaultEditorToolsVisibility: true,
  })
  const text = rendered.replace('<script>', () => `<script>${forgetting}\n`)
  const html = Buffer.from(text)
  return { html, gzipped: await compress(html), policy: policyOf(text) }
}

/** Gives the page a storage that ends with it in the place of the browser's, and removes what older versions have kept there. */
const forgetting = `(() => {
  const kept = new Map();
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith("graphiql")) localStorage.removeItem(name);
  } catch {}
  Object.defineProperty(window, "localStorage", { value: {
    get length() { return kept.size },
    key: (index) => [...kept.keys()][index] ?? null,
    getItem: (name) => kept.get(String(name)) ?? null,
    setItem: (name, value) => void kept.set(String(name), String(value)),
    removeItem: (name) => void kept.delete(String(name)),
    clear: () => kept.clear(),
  } });
})();`

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
