import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { ProgramEnd } from './classify.ts'
import { EngineError } from './engine-error.ts'
import { feed, pump } from './move-bytes.ts'

const stderrCapBytes = 64 * 1024
const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path))

export interface ProgramRun {
  /** Absolute path. */
  program: string
  args: readonly string[]
  /** All of its environment: nothing of ours is handed down. */
  environment: Readonly<Record<string, string>>
  /** Open descriptors that it finds as 3, 4, … */
  descriptors?: readonly number[]
  stdin?: Readable | undefined
  sink?: Writable | undefined
  signal: AbortSignal
  /** How long the program may take to end after SIGTERM before its whole process group is killed. */
  graceMs?: number
  /** Called once, when its first output arrives. */
  onFirstOutput?: (() => void) | undefined
  /** Called with the size of every piece of stdin. */
  onInput?: ((bytes: number) => void) | undefined
}

/**
 * Runs a program as its own process group, killed with us however we end, and says how it ended. Resolves only when it
 * is gone, its output is at its end and, after exit code 0 alone, the sink was ended and has finished. On an abort, a
 * failing sink or a failing stdin the group is stopped and the reason or error thrown; then the sink is destroyed.
 */
export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  run.signal.throwIfAborted()
  const child = start(run)
  const stopping = new AbortController()
  const stop = (reason: unknown) => {
    if (stopping.signal.aborted) return
    stopping.abort(reason)
    killGroup(child, 'SIGTERM')
    const late = setTimeout(() => killGroup(child, 'SIGKILL'), run.graceMs ?? 400)
    child.once('exit', () => clearTimeout(late))
  }
  const onAbort = () => stop(run.signal.reason)
  const onSinkError = (error: Error) => stop(error)
  run.signal.addEventListener('abort', onAbort)
  run.sink?.on('error', onSinkError)
  if (run.onFirstOutput) child.stdout?.once('data', run.onFirstOutput)
  try {
    const ended = endOf(child)
    const moves = [
      child.stdout && run.sink ? pump(child.stdout, run.sink, stopping.signal) : undefined,
      child.stdin && run.stdin
        ? feed(run.stdin, child.stdin, ended, { signal: stopping.signal, onInput: run.onInput })
        : undefined,
    ]
    for (const move of moves) move?.catch(stop)
    await Promise.allSettled([ended, ...moves])
    const end = await ended
    if (stopping.signal.aborted) throw stopping.signal.reason
    if (end.exitCode !== 0) throw new Ended(end)
    await finish(run)
    return end
  } catch (error) {
    run.sink?.destroy(error instanceof Error ? error : new Error('stopped', { cause: error }))
    if (error instanceof Ended) return error.end
    throw run.signal.aborted ? run.signal.reason : error
  } finally {
    run.signal.removeEventListener('abort', onAbort)
    run.sink?.once('close', () => run.sink?.off('error', onSinkError))
    run.stdin?.destroy()
  }
}

/** Leaves the happy path of a run with how the program ended. */
class Ended extends Error {
  readonly end: ProgramEnd

  constructor(end: ProgramEnd) {
    super(`exit code ${end.exitCode}`)
    this.end = end
  }
}

async function finish({ sink, signal }: ProgramRun): Promise<void> {
  if (!sink) return
  sink.end()
  await finished(sink, { readable: false, signal })
}

function start({ program, args, environment, descriptors = [], stdin, sink }: ProgramRun): ChildProcess {
  const [command, commandArgs] = setpriv
    ? [setpriv, ['--pdeathsig', 'KILL', '--', program, ...args]]
    : [program, [...args]]
  return spawn(command, commandArgs, {
    cwd: '/',
    env: environment,
    detached: true,
    stdio: [stdin ? 'pipe' : 'ignore', sink ? 'pipe' : 'ignore', 'pipe', ...descriptors],
  })
}

/** Settles once the program and all its output are gone; members of its group that outlive it are killed. */
function endOf(child: ChildProcess): Promise<ProgramEnd> {
  let stderr = Buffer.alloc(0)
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, chunk]).subarray(-stderrCapBytes)
  })
  child.once('exit', () => killGroup(child, 'SIGKILL'))
  const { promise, resolve, reject } = Promise.withResolvers<ProgramEnd>()
  child.once('error', (cause) => {
    reject(new EngineError('TOOLS_MISSING', `${child.spawnfile} could not be started.`, cause.message, { cause }))
  })
  child.once('close', (exitCode, killedBy) => resolve({ exitCode, killedBy, stderr: stderr.toString('utf8') }))
  return promise
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // No process of the group is left.
  }
}
