import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { runProgram } from '../src/engine/run-program.ts'

const shell = (script: string) => ({ program: '/bin/sh', args: ['-c', script], environment: {} })
const never = new AbortController().signal

/** A source that gives one piece and then waits, as an archive does that has not come any further. */
function waitingSource() {
  const goesOn = Promise.withResolvers<void>()
  const pieces = async function* () {
    yield Buffer.from('first')
    await goesOn.promise
    yield Buffer.from('last')
  }
  return { stdin: Readable.from(pieces()), goOn: goesOn.resolve }
}

test('a program that fails is noticed at once, however long the next piece of its source takes', async () => {
  const failing = runProgram({ ...shell('sleep 0.2; exit 3'), stdin: waitingSource().stdin, signal: never })
  const late = delay(2000, 'late', { ref: false })
  expect(await Promise.race([failing, late])).toMatchObject({ exitCode: 3, killedBy: null })
})

test('a source is read to its end also when the program had enough and ended well', async () => {
  const { stdin, goOn } = waitingSource()
  const sizes: number[] = []
  const onInput = (bytes: number) => void sizes.push(bytes)
  const running = runProgram({ ...shell('exit 0'), stdin, signal: never, onInput })
  const early = running.then(() => 'resolved')
  expect(await Promise.race([early, delay(500, 'reads on')])).toBe('reads on')
  goOn()
  expect(await running).toMatchObject({ exitCode: 0 })
  expect(sizes).toEqual(['first'.length, 'last'.length])
})

test('a source that fails after the program had enough fails the run', async () => {
  const damage = new Error('The last byte is another one.')
  const pieces = async function* () {
    yield Buffer.from('first')
    await delay(300)
    throw damage
  }
  await expect(runProgram({ ...shell('exit 0'), stdin: Readable.from(pieces()), signal: never })).rejects.toBe(damage)
})

test('a run that is stopped does not wait for the next piece of its source', async () => {
  const stopping = new AbortController()
  const reason = new Error('cancelled')
  const running = runProgram({
    ...shell('cat >/dev/null'),
    stdin: waitingSource().stdin,
    signal: stopping.signal,
    onInput: () => stopping.abort(reason),
  })
  const late = delay(2000, 'late', { ref: false })
  await expect(Promise.race([running, late])).rejects.toBe(reason)
})
