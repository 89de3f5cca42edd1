import type { Cluster } from '../cluster/start.ts'
import { connectApi } from './api.ts'
import { claimFolder, type Folder } from './folder.ts'
import { shortPath } from './format.ts'
import { type DemoOptions, InvalidOption, readOptions, usage } from './options.ts'
import { choosePort, type Holdfast, startHoldfast } from './processes/holdfast.ts'
import { findPrograms } from './processes/programs.ts'
import { startEmptyServer, startSampleServer } from './processes/servers.ts'
import { readyMadeQueries } from './ready-made-queries.ts'
import { tellStory } from './story.ts'
import { openTerminal } from './terminal.ts'
import { firstMoment, setClock, tellTimeLapse } from './time-lapse.ts'

const terminal = openTerminal(process.stdout)
/** Aborted by Ctrl-C, or when Holdfast ends by itself; the reason says which. */
const ending = new AbortController()

class Interrupted extends Error {}

process.exitCode = await main().catch((cause: unknown) => {
  const reason: unknown = ending.signal.aborted ? ending.signal.reason : cause
  if (reason instanceof Interrupted) return 130
  terminal.line()
  terminal.line(reason instanceof Error ? reason.message : String(reason))
  return reason instanceof InvalidOption ? 2 : 1
})

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2), process.env)
  if (options.help) {
    terminal.line(usage)
    return 0
  }
  stopOnSignals()
  await (options.timeLapse ? runTimeLapse(options) : runDemo(options))
  terminal.line('Everything is stopped.')
  return 0
}

/** Whatever was started is stopped again, in reverse order, however this ends. */
async function runDemo(options: DemoOptions): Promise<void> {
  const started = performance.now()
  const { signal } = ending
  const programs = await findPrograms(process.env)
  await using folder = await claimFolder(options.directory)
  terminal.line('Holdfast demo: protect a PostgreSQL server, back it up, restore it, compare.')
  terminal.line(`Everything it makes lies in \`${shortPath(folder.directory)}\`.`)
  terminal.line()
  await using sample = await startSampleServer({ folder, programs, options, terminal, signal })
  await using second = await startEmptyServer({ folder, programs, terminal, signal })
  await using holdfast = await start(folder, options, programs.binDir)
  await using api = connectApi(holdfast.url, signal)
  const proofs = await tellStory({ api, terminal, folder, programs, sample, second, signal })
  terminal.line()
  for (const proof of proofs) terminal.line(`✔ ${proof}`)
  terminal.line(`  All of it took ${((performance.now() - started) / 1000).toFixed(0)} s.`)
  terminal.line()
  if (!options.once) await serve({ holdfast, folder, sample })
}

/** The same service under a clock that the demo moves. */
async function runTimeLapse(options: DemoOptions): Promise<void> {
  const started = performance.now()
  const { signal } = ending
  const programs = await findPrograms(process.env)
  await using folder = await claimFolder(options.directory)
  terminal.line('Holdfast time-lapse: years of a policy, with real backups, under a clock that is moved.')
  terminal.line(`Everything it makes lies in \`${shortPath(folder.directory)}\`.`)
  terminal.line()
  await using server = await startEmptyServer({ folder, programs, terminal, signal }, 'Start a server, empty')
  await setClock(folder, firstMoment)
  await using holdfast = await start(folder, options, programs.binDir, { HOLDFAST_TEST_CLOCK_FILE: folder.clock })
  await using api = connectApi(holdfast.url, signal)
  const proofs = await tellTimeLapse({ api, terminal, folder, server, weeks: options.weeks, signal })
  terminal.line()
  for (const proof of proofs) terminal.line(`✔ ${proof}`)
  terminal.line(`  All of it took ${((performance.now() - started) / 1000).toFixed(0)} s.`)
  terminal.line()
}

async function start(
  folder: Folder,
  options: DemoOptions,
  postgresDirectory: string,
  environment: Record<string, string> = {},
): Promise<Holdfast> {
  return terminal.step('Start Holdfast', async (step) => {
    const port = await choosePort(options.port, options)
    const holdfast = await startHoldfast(folder, { port, postgresDirectory, environment, signal: ending.signal })
    void holdfast.exited.then((log) => ending.abort(new Error(`Holdfast ended by itself:\n${log}`)))
    step.detail(`It answers at \`${holdfast.url}/graphql\`; its log is ${shortPath(folder.holdfastLog)}`)
    if (options.port !== 0 && port !== options.port) step.detail(`Port ${options.port} is taken by another program`)
    return holdfast
  })
}

/** Tells what can be looked at, and keeps everything running until it is ended. */
async function serve({ holdfast, folder, sample }: { holdfast: Holdfast; folder: Folder; sample: Cluster }) {
  terminal.line(`GraphiQL, in a browser:  \`${holdfast.url}/graphql\``)
  for (const { title, url } of readyMadeQueries(holdfast.url)) terminal.line(`  ${title.padEnd(19)} \`${url}\``)
  terminal.line()
  terminal.line(`The vault:               ${shortPath(folder.vault)}`)
  terminal.line(`The restored files:      ${shortPath(folder.restoredFiles)}`)
  terminal.line(
    `The sample server:       port ${sample.port}, user ${sample.superuser}, password in ${shortPath(folder.sampleServer)}/password`,
  )
  terminal.line()
  terminal.line('Serving until Ctrl-C.')
  const { signal } = ending
  await new Promise((done) => (signal.aborted ? done(undefined) : signal.addEventListener('abort', done)))
  if (!(signal.reason instanceof Interrupted)) throw signal.reason
}

/** The first signal stops everything in order. npm passes a Ctrl-C on that the terminal sent already: that is no second one. */
function stopOnSignals(): void {
  let firstAt: number | undefined
  const stop = () => {
    const now = performance.now()
    firstAt ??= now
    if (now - firstAt > 1_000) process.exit(130)
    if (ending.signal.aborted) return
    ending.abort(new Interrupted())
    terminal.line()
    terminal.line('Stopping everything …')
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}
