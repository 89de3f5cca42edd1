import type { JobNote } from '../../database/tables/job.ts'
import { databaseNow, type EventDraft } from '../change.ts'
import { type ClaimedJob, type JobRun, RunStopped, type SubTaskRun } from '../handler.ts'
import type { ReportBatch, SubTaskState } from '../settle/report.ts'
import { storableText } from '../settle/storable.ts'
import type { SubTaskStatus } from '../states.ts'

const mostWarnings = 100
const mostNotes = 100

/** What a run says about itself, kept until it is written: the newest state of everything, the events not yet written. */
export interface Progress extends Pick<JobRun, 'progress' | 'subTask' | 'warn' | 'note'> {
  /** All that is new since the last call; undefined when nothing is. */
  take(): ReportBatch | undefined
  /** Gives back what was taken and could not be written. */
  putBack(batch: ReportBatch): void
}

interface Amounts {
  bytesDone: number
  bytesTotal: number | null
  rowsDone: number
  rowsTotal: number | null
}

/** Collects what a run says. `onNews` is called when there is something to write, `onAdvance` when something went on. */
export function collectProgress(
  job: Pick<ClaimedJob, 'notes' | 'warnings'>,
  { signal, onNews, onAdvance }: { signal: AbortSignal; onNews: () => void; onAdvance: () => void },
): Progress {
  const amounts: Amounts = { bytesDone: 0, bytesTotal: null, rowsDone: 0, rowsTotal: null }
  const tasks: SubTaskState[] = []
  const notes = new Map(job.notes.map(({ name, value }): [string, JobNote] => [name, { name, value }]))
  const warnings = [...job.warnings]
  let events: EventDraft[] = []
  let changedTasks = new Set<SubTaskState>()
  let hasMoved = false

  const tell = (event: EventDraft) => {
    events.push(event)
    onNews()
  }
  const set = (task: SubTaskState, status: SubTaskStatus) => {
    task.status = status
    task.endedMs = status === 'IN_PROGRESS' ? null : performance.now()
    changedTasks.add(task)
    onAdvance()
    tell({ type: 'SUB_TASK_CHANGED', data: { subTask: { name: task.name, status } } })
  }

  return {
    progress(update) {
      const hasGrown = apply(amounts, update)
      hasMoved = true
      if (hasGrown) onAdvance()
      onNews()
    },
    async subTask(name, work) {
      const position = tasks.length + 1
      const task: SubTaskState = {
        position,
        name: storableText(name, 300),
        status: 'IN_PROGRESS',
        bytesDone: 0,
        bytesTotal: null,
        startedMs: performance.now(),
        endedMs: null,
      }
      tasks.push(task)
      set(task, 'IN_PROGRESS')
      const part: SubTaskRun = {
        progress(update) {
          if (apply(task, update)) onAdvance()
          changedTasks.add(task)
          hasMoved = true
          onNews()
        },
      }
      try {
        const result = await work(part)
        set(task, 'COMPLETED')
        return result
      } catch (cause) {
        set(task, wasCancelled(signal) ? 'CANCELLED' : 'FAILED')
        throw cause
      }
    },
    warn(text) {
      const message = storableText(text, 1_000)
      if (warnings.length > mostWarnings || warnings.includes(message)) return
      warnings.push(warnings.length < mostWarnings ? message : 'There are more warnings than are kept.')
      tell({ type: 'WARNED', data: { message } })
    },
    note(name, value) {
      const note = { name: storableText(name, 100), value: storableText(value, 1_000) }
      if (notes.size >= mostNotes && !notes.has(note.name)) return
      notes.set(note.name, note)
      tell({ type: 'NOTED', data: { message: `${note.name}: ${note.value}` } })
    },
    take() {
      if (!hasMoved && events.length === 0 && changedTasks.size === 0) return undefined
      const batch: ReportBatch = {
        change: {
          notes: [...notes.values()],
          warnings: [...warnings],
          ...(hasMoved && { ...amounts, progressAt: databaseNow }),
        },
        events: hasMoved ? [...events, { type: 'PROGRESSED', data: { ...amounts } }] : events,
        subTasks: [...changedTasks].map((task) => ({ ...task })),
        warningCount: warnings.length,
      }
      events = []
      changedTasks = new Set()
      hasMoved = false
      return batch
    },
    putBack(batch) {
      const said = batch.events.filter(({ type }) => type !== 'PROGRESSED')
      hasMoved ||= said.length < batch.events.length
      events = [...said, ...events]
      for (const { position } of batch.subTasks) {
        const task = tasks[position - 1]
        if (task) changedTasks.add(task)
      }
    },
  }
}

/** Takes over what is said, in whole numbers from zero; whether anything grew. */
function apply<Part extends Partial<Amounts>>(amounts: Part, update: Partial<Amounts>): boolean {
  let hasGrown = false
  for (const name of ['bytesDone', 'bytesTotal', 'rowsDone', 'rowsTotal'] as const) {
    const said = update[name]
    if (said === undefined) continue
    const value = said === null ? null : Math.min(Math.max(0, Math.floor(said) || 0), Number.MAX_SAFE_INTEGER)
    hasGrown ||= (value ?? 0) > (amounts[name] ?? 0)
    Object.assign(amounts, { [name]: value })
  }
  return hasGrown
}

function wasCancelled({ reason }: AbortSignal): boolean {
  return reason instanceof RunStopped && reason.reason === 'CANCELLED'
}
