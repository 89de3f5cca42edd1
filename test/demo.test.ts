import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect } from 'vitest'
import { compareServers } from '../src/demo/comparison/compare.ts'
import { withConnection } from '../src/demo/connect.ts'
import { sourceServer } from './kit/source-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const program = fileURLToPath(new URL('../src/demo/main.ts', import.meta.url))

describe('the demo', { timeout: 240_000 }, () => {
  test('tells the whole story, proves what it claims, and leaves nothing running', async ({ folder }) => {
    const demo = startDemo(folder, ['--once'])
    await once(demo.child, 'exit')

    expect(demo.printed()).toContain('Its proof is now RESTORED')
    expect(demo.printed()).toMatch(/✔ [\d,]+ rows of 22 tables and materialized views are the same on both servers/)
    expect(demo.printed()).toContain("✔ 5 restored archives can be read by PostgreSQL's own pg_restore.")
    expect(demo.printed()).toMatch(/Everything is stopped\.\n$/)
    expect(demo.child.exitCode).toBe(0)
    expect(await processesOf(folder)).toEqual([])
    const restored = await readdir(join(folder, 'demo', 'restored-files'))
    expect(restored).toContain('globals.sql')
  })

  test('lets weeks of a policy pass under a moved clock, and keeps what the preview had foreseen', async ({
    folder,
  }) => {
    const demo = startDemo(folder, ['--time-lapse'], { HOLDFAST_DEMO_WEEKS: '8' })
    await once(demo.child, 'exit')

    expect(demo.printed()).toMatch(/2024-02-25 +WEEKLY +2024-03-31 +8 weeks +WITHIN_RETENTION, NEWEST_RESTORABLE/)
    expect(demo.printed()).toMatch(/2024-01-07 +YEARLY +2034-01-07 +1 week +WITHIN_RETENTION/)
    expect(demo.printed()).not.toMatch(/2024-01-14 +WEEKLY/)
    expect(demo.printed()).toContain('What is kept is what the preview of the policy had foreseen: 6 recovery points.')
    expect(demo.child.exitCode).toBe(0)
    expect(await processesOf(folder)).toEqual([])
  })

  test('follows one that was killed, and stops everything when it is told to', async ({ folder }) => {
    const killed = startDemo(folder, [])
    await waitFor('Holdfast runs', () => killed.printed().includes('Start Holdfast  '), { withinMs: 60_000 })
    killed.child.kill('SIGKILL')
    await once(killed.child, 'exit')

    const next = startDemo(folder, [])
    await waitFor('the next one protects', () => next.printed().includes('Protect the sample'), { withinMs: 60_000 })
    next.child.kill('SIGINT')
    await once(next.child, 'exit')

    expect(next.printed()).toContain('kept from an earlier run')
    expect(next.child.exitCode).toBe(130)
    expect(await processesOf(folder)).toEqual([])
  })

  test('refuses a folder that holds something else', async ({ folder }) => {
    const demo = startDemo(folder, [], { HOLDFAST_DEMO_DIR: fileURLToPath(new URL('kit', import.meta.url)) })
    await once(demo.child, 'exit')

    expect(demo.printed()).toContain('holds something else: name an empty folder in HOLDFAST_DEMO_DIR.')
    expect(demo.child.exitCode).toBe(1)
  })
})

describe("the demo's comparison", { timeout: 60_000 }, () => {
  test('names whatever is missing, additional or different', async () => {
    await using left = await sourceServer()
    await using right = await sourceServer()
    const { signal } = new AbortController()
    const on = (server: typeof left, database: string, statements: string) =>
      withConnection(server, { database, signal }, (sql) => sql.unsafe(statements))
    for (const server of [left, right]) {
      await on(server, 'postgres', 'create database "a ""b"""')
      await on(
        server,
        'a "b"',
        `create role reader; create table kept (id serial primary key, what text); create view seen as select * from kept;
         insert into kept (what) values ('one'), ('two'), ('two'); select lo_from_bytea(4711, 'photograph')`,
      )
    }
    expect((await compareServers(left, right, signal)).differences).toEqual([])

    await on(
      right,
      'a "b"',
      `update kept set what = 'three' where id = 3; select nextval('kept_id_seq'); drop view seen; create role stranger;
       create index added on kept (what); select lo_put(4711, 0, 'P'); grant select on kept to reader`,
    )
    const found = (await compareServers(left, right, signal)).differences
    expect(found.map((each) => each.replace(/\.$| in database .*/s, '')).sort()).toEqual([
      'Additional: index public.added',
      'Additional: role stranger',
      'Different: large object 4711',
      'Different: rows public.kept',
      'Different: sequence value public.kept_id_seq',
      'Different: table public.kept',
      'Missing: column public.seen.id',
      'Missing: column public.seen.what',
      'Missing: view definition public.seen',
      'Missing: view public.seen',
    ])
  })
})

function startDemo(folder: string, args: string[], environment: Record<string, string> = {}) {
  const child: ChildProcess = spawn(process.execPath, [program, ...args], {
    env: {
      PATH: process.env.PATH,
      HOLDFAST_DEMO_DIR: join(folder, 'demo'),
      HOLDFAST_DEMO_MEGABYTES: '40',
      HOLDFAST_PORT: '0',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  }
  return { child, printed: () => text }
}

/** The commands of all processes that work for a demo in the folder: its servers, Holdfast, Holdfast's own. */
async function processesOf(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [command, environment] = await Promise.all(
      ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    )
    if (`${command}${environment}`.includes(folder)) found.push(command?.replaceAll('\0', ' ') ?? '')
  }
  return found
}
