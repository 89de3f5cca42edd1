import { parse, validate } from 'graphql'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { startListener } from '../src/database/listen.ts'
import { firstTab, secondTab } from '../src/graphql/edge/first-tab.ts'
import { schema } from '../src/graphql/schema/schema.ts'
import { usualRetentionLimits } from '../src/policy/check-rules.ts'
import { type Browser, startBrowser, type Visit } from './kit/browser.ts'
import { startEdge } from './kit/edge.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startBrowser()
})
afterAll(async () => browser[Symbol.asyncDispose]())

// A page of an editor's size takes its time on a busy machine.
const patient = { withinMs: 60_000 }

/** Presses play and answers what the response pane says once it holds the text. */
async function run({ page }: Visit, expected: string): Promise<string> {
  await page.getByRole('button', { name: /execute query/i }).click()
  return waitFor(
    `a response with ${expected}`,
    async () => {
      const text = await response({ page })
      return text.includes(expected) && text
    },
    patient,
  )
}

async function response({ page }: Pick<Visit, 'page'>): Promise<string> {
  const text = await page.locator('.result-window').innerText()
  return text.replaceAll('\u00a0', ' ')
}

/** What the browser keeps of the origin, seen from a page that is not GraphiQL's. */
async function keptBy({ page }: Pick<Visit, 'page'>, url: string): Promise<unknown> {
  const other = await page.context().newPage()
  await other.goto(new URL('/healthz', url).href)
  return other.evaluate('JSON.stringify(localStorage)')
}

describe('GraphiQL', { timeout: 120_000 }, () => {
  test('runs a query and a subscription, and asks no other origin for anything', async () => {
    await using edge = await startEdge()
    const visit = await browser.visit(`${edge.url}?query=${encodeURIComponent('{ hello(name: "world") }')}`)
    await run(visit, 'Hello, world.')
    const streaming = await browser.visit(`${edge.url}?query=${encodeURIComponent('subscription { ticks(to: 3) }')}`)
    await run(streaming, '"ticks": 3')
    for (const { requests, complaints } of [visit, streaming]) {
      expect(complaints).toEqual([])
      expect(requests.filter((url) => !url.startsWith(`${new URL(edge.url).origin}/`))).toEqual([])
      expect(requests.length).toBeGreaterThan(1)
    }
  })

  test('frees a subscription when its page is stopped or left', async () => {
    await using edge = await startEdge()
    const visit = await browser.visit(`${edge.url}?query=${encodeURIComponent('subscription { silence }')}`)
    for (const leave of ['stop', 'close'] as const) {
      await visit.page.getByRole('button', { name: /execute query/i }).click()
      await waitFor('the source is held', () => edge.observed.openSources === 1, patient)
      if (leave === 'stop') await visit.page.getByRole('button', { name: /stop query/i }).click()
      else await visit.page.close()
      await waitFor('the source is freed', () => edge.observed.openSources === 0, patient)
    }
  })

  test('shows documentation, so introspection is within the limits', async () => {
    await using edge = await startEdge({ schema })
    const { page } = await browser.visit(edge.url)
    await page.getByRole('button', { name: /documentation explorer/i }).click()
    await page.getByRole('link', { name: 'Query', exact: true }).first().click()
    await page.getByText('Everything that can be asked').first().waitFor()
  })

  test('greets a first visitor with a tab that explains itself and runs', async ({ database, databaseUrl }) => {
    for (const tab of [firstTab, secondTab]) expect(validate(schema, parse(tab))).toEqual([])
    await using listener = await startListener(databaseUrl)
    const secrets = { seal: (plain: string) => plain, open: (sealed: string) => sealed }
    await using edge = await startEdge({
      schema,
      services: {
        database,
        listener,
        secrets,
        now: () => new Date(),
        retentionLimits: usualRetentionLimits,
        removalGraceMs: 0,
        channelRules: { allowHttp: false, canMail: false },
        metadataBackupMs: 24 * 3_600_000,
      },
    })
    const visit = await browser.visit(edge.url)
    const text = await run(visit, '"jobSummary"')
    expect(text).not.toContain('errors')
    expect(visit.complaints).toEqual([])
  })

  test('works with a token typed into the headers tab, and does not keep it', async () => {
    await using edge = await startEdge({ apiToken: 'a-token-of-some-length' })
    const visit = await browser.visit(`${edge.url}?query=${encodeURIComponent('{ viewer }')}`)
    await run(visit, 'Send the API token')
    await visit.page.getByRole('button', { name: 'Headers' }).click()
    await visit.page.locator('.graphiql-editor-tool .monaco-editor:visible').last().click()
    await visit.page.keyboard.insertText('{ "authorization": "Bearer a-token-of-some-length" }')
    await run(visit, '"viewer": "api-token"')
    expect(await keptBy(visit, edge.url)).toBe('{}')
  })

  test('keeps nothing that was typed in the browser: a password may be among it', async () => {
    await using edge = await startEdge()
    const typed = '{ hello(name: "a-password-of-some-length") }'
    const visit = await browser.visit(`${edge.url}?query=${encodeURIComponent(typed)}`)
    await run(visit, 'Hello, a-password-of-some-length.')
    expect(visit.complaints).toEqual([])
    expect(await keptBy(visit, edge.url)).toBe('{}')
  })

  test('is framed by no one and runs no script but its own', async () => {
    await using edge = await startEdge()
    const { headers } = await fetch(edge.url, { headers: { accept: 'text/html' } })
    expect(headers.get('x-frame-options')).toBe('DENY')
    const policy = headers.get('content-security-policy') ?? ''
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toMatch(/script-src 'sha256-[^']+'(;|$)/)
    expect(policy).not.toContain('http')
  })
})
