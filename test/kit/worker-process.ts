import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { WorkerMessage } from './job-worker.ts'
import { within } from './wait-for.ts'

const program = fileURLToPath(new URL('job-worker.ts', import.meta.url))

export interface WorkerProcess extends AsyncDisposable {
  workerId: string
  /** Resolves with the first message of the kind, also when it has come already. */
  told(kind: WorkerMessage['kind']): Promise<WorkerMessage>
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void
}

/** A worker in a process of its own, which can be killed and frozen. */
export async function startWorkerProcess(
  url: string,
  { leaseMs, mode = 'working' }: { leaseMs: number; mode?: 'working' | 'recording' },
): Promise<WorkerProcess> {
  const child: ChildProcess = fork(program, [url, String(leaseMs), mode])
  const heard: WorkerMessage[] = []
  child.on('message', (message: WorkerMessage) => heard.push(message))
  const listen = async (kind: WorkerMessage['kind']) => {
    for (;;) {
      const message = heard.find((one) => one.kind === kind)
      if (message) return message
      await once(child, 'message')
    }
  }
  const worker: WorkerProcess = {
    workerId: `process-${child.pid}`,
    told: (kind) => within(`the worker process says ${kind}`, listen(kind)),
    signal: (name) => void child.kill(name),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
  await worker.told('ready')
  return worker
}
