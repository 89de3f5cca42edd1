import { pino } from 'pino'
import { connectDatabase } from '../../src/database/connect.ts'
import { startListener } from '../../src/database/listen.ts'
import { type Handler, RunStopped } from '../../src/job/handler.ts'
import { startRunner } from '../../src/job/run.ts'

/** What the worker process tells its parent. */
export type WorkerMessage = { kind: 'ready' | 'performing' | 'recording' } | { kind: 'stopped'; reason: string }

const [, , url = '', leaseMs = '', mode = ''] = process.argv
const tell = (message: WorkerMessage) => process.send?.(message)

/** Works until told to stop, or, to be frozen there, begins to record its outcome and does not get to its end. */
const handler: Handler = {
  async perform(run) {
    tell({ kind: 'performing' })
    if (mode === 'recording') {
      const record = async () => {
        tell({ kind: 'recording' })
        await new Promise(() => {})
      }
      return { kind: 'completed', record }
    }
    let bytesDone = 0
    const timer = setInterval(() => run.progress({ bytesDone: ++bytesDone }), 20)
    await new Promise((resolve) => run.signal.addEventListener('abort', resolve, { once: true }))
    clearInterval(timer)
    run.progress({ bytesDone: 1_000_000 })
    run.warn('written after the end')
    tell({ kind: 'stopped', reason: run.signal.reason instanceof RunStopped ? run.signal.reason.reason : '' })
    return { kind: 'completed' }
  },
  failure: () => ({
    code: 'WORKER_LOST',
    message: 'The worker was lost.',
    recommendedActions: [],
    isUserError: false,
    isRetryable: true,
    details: null,
  }),
  ceilingMs: 60_000,
  stallMs: 60_000,
}

const { database } = connectDatabase(url)
startRunner(database, await startListener(url), {
  handlers: { BACKUP: handler },
  workerId: `process-${process.pid}`,
  concurrency: 2,
  laneLimits: {},
  leaseMs: Number(leaseMs),
  log: pino({ level: 'silent' }),
})
tell({ kind: 'ready' })
process.on('disconnect', () => process.exit())
