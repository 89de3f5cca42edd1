import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import { type JobRun, RunStopped } from '../src/job/handler.ts'
import { watchLimits } from '../src/job/runner/limits.ts'
import { collectProgress } from '../src/job/runner/progress.ts'
import { type OpenPoint, openPoint } from '../src/worker/point/read-point.ts'
import { stageAll } from '../src/worker/restore/stage-databases.ts'
import { counted } from '../src/worker/streams.ts'
import { addressOf, createDatabase, installedTools, never } from './kit/engine.ts'
import { startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { backedUp } from './kit/verify.ts'

const stallMs = 3500

test('a part whose rows come late in a long archive is not taken for stuck', { timeout: 60_000 }, async ({
  databaseUrl,
  folder,
  source,
}) => {
  await using service = await startService({ databaseUrl, folder })
  const name = await createDatabase(
    source,
    'create table filler as select md5(i::text) from generate_series(1, 60000) i; create table wanted as select 1 as i',
  )
  const { point, vault } = await backedUp(service, source, folder)
  const opened = slowly(await openPoint(service.context, { point, vault, signal: never }))
  await using staged = new AsyncDisposableStack()
  const began = performance.now()
  const [restored] = await stageAll({
    context: service.context,
    run: watchedRun(),
    opened,
    address: addressOf(source),
    tools: await installedTools(),
    request: {
      kind: 'SERVER',
      serverId: '',
      databases: [{ name, targetName: 'a part' }],
      ownership: { kind: 'KEEP' },
      part: { database: name, schemas: [], tables: [{ schema: 'public', name: 'wanted' }] },
    },
    staged,
  })
  expect(restored?.database.rows.tables).toMatchObject([{ name: 'wanted', rows: 1 }])
  expect(performance.now() - began).toBeGreaterThan(2 * stallMs)
})

/** Its archives are unpacked 64 KiB at a time with a pause after each. */
function slowly(opened: OpenPoint): OpenPoint {
  return {
    ...opened,
    async open(artifact, signal, onBytes) {
      const { storedBytes } = artifact.digest
      const plain = await opened.open(artifact, signal, (total) => total <= storedBytes && onBytes(total))
      const pieces = async function* () {
        for await (const piece of plain) {
          for (let at = 0; at < piece.length; at += 65_536) {
            yield Buffer.from(piece.subarray(at, at + 65_536))
            await delay(300)
          }
        }
      }
      return counted(Readable.from(pieces(), { objectMode: false }), (bytes) => onBytes(storedBytes + bytes))
    },
  }
}

/** A run that is stopped, as those of the runner are, when nothing has gone on for too long. */
function watchedRun(): JobRun {
  const stopping = new AbortController()
  const limits = watchLimits({ ceilingMs: 60_000, stallMs }, (reason) => stopping.abort(new RunStopped(reason)))
  onTestFinished(() => limits.end())
  const job = { id: crypto.randomUUID(), attempt: 1, kept: null, notes: [], warnings: [] }
  const signal = stopping.signal
  const said = collectProgress(job, { signal, onNews() {}, onAdvance: limits.advance })
  const run = { ...said, job, signal, alive: limits.advance, leavesBehind() {}, async confirm() {}, async keep() {} }
  // Restoring looks at nothing else of its job.
  return run as unknown as JobRun
}
