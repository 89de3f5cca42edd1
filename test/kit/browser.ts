import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'

const names = ['chromium', 'chromium-browser', 'google-chrome']

/** What a page did besides showing itself. */
export interface Visit {
  page: Page
  /** Addresses that the page asked for, its own parts (blob:, data:) left out. */
  requests: string[]
  /** Errors of its scripts, and what its security policy forbade. */
  complaints: string[]
}

export interface Browser extends AsyncDisposable {
  /** Opens a page as a first-time visitor. */
  visit(url: string): Promise<Visit>
}

/** A headless browser that looks nothing up by itself. */
export async function startBrowser(): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: installed(),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  })
  return {
    async visit(url) {
      const context = await browser.newContext()
      return watch(context, url)
    },
    [Symbol.asyncDispose]: () => browser.close(),
  }
}

async function watch(context: BrowserContext, url: string): Promise<Visit> {
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  const visit: Visit = { page, requests: [], complaints: [] }
  page.on('request', (request) => {
    if (/^(https?|wss?):/.test(request.url())) visit.requests.push(request.url())
  })
  page.on('websocket', (socket) => visit.requests.push(socket.url()))
  page.on('pageerror', (error) => visit.complaints.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') visit.complaints.push(message.text())
  })
  await page.goto(url)
  return visit
}

function installed(): string {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path))
  if (!found) throw new Error(`None of ${names.join(', ')} is installed.`)
  return found
}
