import type { WriteStream } from 'node:tty'
import { stripVTControlCharacters, styleText } from 'node:util'

/** What the demo prints: numbered steps with their times, details below them, and one line that changes in place. */
export interface Terminal {
  line(text?: string): void
  /** Runs one step of the story; prints it with its time when it is done, and its details below. */
  step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T>
}

export interface Step {
  /** A line of detail, printed below the step's title when the step is done. */
  detail(text: string): void
  /** Shows how far the step is; on a terminal in place, elsewhere a line now and then. */
  progress(shown: Progress): void
}

export interface Progress {
  /** 0 to 1; null while it cannot be told. */
  fraction: number | null
  text: string
}

type Style = Parameters<typeof styleText>[0]

const width = 96
const barWidth = 24
const plainEveryMs = 2_000

/** A terminal on a stream; plain lines without colours where the stream is no terminal. */
export function openTerminal(stream: NodeJS.WriteStream): Terminal {
  const isLive = stream.isTTY === true && process.env.TERM !== 'dumb'
  const paint = (style: Style, text: string) => (isLive ? styleText(style, text, { stream }) : text)
  const write = (text: string) => stream.write(`${isLive ? '\r\u001b[2K' : ''}${text}`)
  const line = (text = '') => void write(`${paintCode(text, paint)}\n`)
  let steps = 0

  async function step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T> {
    const number = String(++steps).padStart(2)
    const started = performance.now()
    const details: string[] = []
    const live = liveLine(stream, { isLive, lead: `${number}  ${title}`, paint, write, line })
    const heading = (mark: string) => {
      const took = `${((performance.now() - started) / 1000).toFixed(1)} s`
      return `${mark} ${paint('bold', `${number}  ${title}`)}${took.padStart(width - 6 - title.length)}`
    }
    try {
      const result = await work({ detail: (text) => details.push(text), progress: live.progress })
      live.end()
      line(heading(paint('green', '✔')))
      for (const detail of details) line(`      ${paint('dim', detail)}`)
      return result
    } catch (cause) {
      live.end()
      line(heading(paint('red', '✘')))
      throw cause
    }
  }
  return { line, step }
}

interface LiveLine {
  isLive: boolean
  lead: string
  paint: (style: Style, text: string) => string
  write: (text: string) => boolean
  line: (text: string) => void
}

const spinner = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']

/** The line at the foot of a running step: a spinner until something is known, then a bar. */
function liveLine(stream: NodeJS.WriteStream | WriteStream, { isLive, lead, paint, write, line }: LiveLine) {
  let shown: Progress | undefined
  let turn = 0
  let printedAt = performance.now()
  const draw = () => {
    const mark = paint('cyan', spinner[turn++ % spinner.length] ?? '')
    const text = shown ? `${bar(shown, paint)}  ${shown.text}` : ''
    write(clip(`${mark} ${lead}  ${text}`, (stream.columns ?? width) - 1))
  }
  const timer = isLive ? setInterval(draw, 100) : undefined
  if (isLive) draw()
  return {
    progress(next: Progress) {
      shown = next
      if (isLive || performance.now() - printedAt < plainEveryMs) return
      printedAt = performance.now()
      line(`      ${percentage(next)}  ${next.text}`)
    },
    end() {
      clearInterval(timer)
      if (isLive) write('')
    },
  }
}

function bar(progress: Progress, paint: LiveLine['paint']): string {
  const done = Math.round((progress.fraction ?? 0) * barWidth)
  return `${paint('cyan', '█'.repeat(done))}${paint('dim', '░'.repeat(barWidth - done))} ${percentage(progress)}`
}

function percentage({ fraction }: Progress): string {
  return fraction === null ? '   …' : `${String(Math.floor(fraction * 100)).padStart(3)} %`
}

/** Cuts a line that would wrap, and so could not be drawn over; colours are lost then. */
function clip(text: string, columns: number): string {
  const plain = stripVTControlCharacters(text)
  return plain.length <= columns ? text : `${plain.slice(0, columns - 1)}…`
}

/** Text between backquotes, in the colour of code. */
function paintCode(text: string, paint: LiveLine['paint']): string {
  return text.replace(/`([^`]+)`/g, (_, code: string) => paint('cyan', code))
}
