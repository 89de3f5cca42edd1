import { expect } from 'vitest'
import type { JobRun } from '../src/job/handler.ts'
import type { Storage } from '../src/storage/contract.ts'
import { listAllFolders } from '../src/storage/point-folders.ts'
import { importFolders } from '../src/worker/vault/import-folders.ts'
import { beginReport } from '../src/worker/vault/import-report.ts'
import { startService } from './kit/protected-server.ts'
import { enqueue } from './kit/runner.ts'
import { test } from './kit/test.ts'
import { within } from './kit/wait-for.ts'
import { instanceId, writeVault } from './kit/written-vault.ts'

/** A storage that answers what is asked for under a name only when so many ask for it at once, or nobody else will. */
function answeringTogether(storage: Storage, { name, most, all }: { name: string; most: number; all: number }) {
  let waiting: (() => void)[] = []
  let asked = 0
  const together: number[] = []
  const meet = async () => {
    asked += 1
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.push(resolve)
    if (waiting.length === most || asked === all) {
      together.push(waiting.length)
      for (const answer of waiting) answer()
      waiting = []
    }
    await promise
  }
  const read: Storage['read'] = async (key, range) => {
    if (key.endsWith(name) && asked < all) await meet()
    return storage.read(key, range)
  }
  return { storage: { ...storage, read }, together }
}

test('the headers of a vault are read several at once, and each is progress', async ({
  databaseUrl,
  database,
  folder,
}) => {
  const context = await (async () => {
    await using service = await startService({ databaseUrl, folder })
    return { ...service.context, database }
  })()
  const vault = await writeVault(folder)
  for (let day = 10; day < 30; day++) await vault.addPoint({ createdAt: `2026-01-${day}T02:30:00.000Z` })
  const { storage, together } = answeringTogether(vault.storage, { name: '/point.json', most: 8, all: 20 })
  let signs = 0
  const run: JobRun = {
    job: { ...(await enqueue(database)), workerId: 'tester' },
    signal: new AbortController().signal,
    progress: () => {},
    subTask: (_name, work) => work({ progress: () => {} }),
    warn: () => {},
    note: () => {},
    alive: () => {
      signs += 1
    },
    keep: async () => {},
    confirm: async () => {},
    leavesBehind: () => {},
  }
  const opened = {
    storage,
    vaultId: vault.id,
    vaultName: 'Found',
    keys: [{ recipient: vault.recipient, identity: vault.recoveryKey }],
    vault: undefined,
  }
  const report = beginReport(run, { ...opened, dryRun: true })
  const folders = (await listAllFolders(vault.storage)).get(instanceId) ?? []
  const work = importFolders(context, run, { opened, instanceId, folders, report, dryRun: true, onFolder: () => {} })
  await within('the import', work, { withinMs: 30_000 })
  expect(report).toMatchObject({ pointsImported: 20, alreadyKnown: 0, unreadableCount: 0 })
  expect(together).toEqual([8, 8, 4])
  expect(signs).toBe(20)
})
