import { expect } from 'vitest'
import { findAnomalies } from '../src/instance/anomaly/find-anomalies.ts'
import { addLife, addPoints } from './kit/lifecycle.ts'
import { test } from './kit/test.ts'

const shop = (rowCount: number) => [{ name: 'shop', sourceBytes: 1, storedBytes: 1, tableCount: 1, rowCount }]

test('the copy of a suspicious point is not what the next point is compared with', async ({ database }) => {
  const instance = await addLife(database, { points: [] })
  const fall = { kind: 'ROWS_FELL' as const, database: 'shop', before: 5000, after: 10 }
  const [, suspicious] = await addPoints(database, instance, [
    { madeDaysAgo: 3, endsInDays: 30, databases: shop(5000) },
    { madeDaysAgo: 2, endsInDays: 30, databases: shop(10), anomalies: [fall] },
  ])
  const elsewhere = await addLife(database, { points: [] })
  const copy = { vaultId: elsewhere.vaultId, copyOfId: suspicious?.id ?? '', copiedAt: new Date() }
  await addPoints(database, instance, [{ madeDaysAgo: 2, endsInDays: 30, databases: shop(10), ...copy }])
  const gate = { rows: 50, bytes: 50, tables: 50 }
  expect(await findAnomalies(database, { instanceId: instance.id, databases: shop(10), gate })).toEqual([fall])
})
