import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { recoveryPoints } from '../src/database/tables/recovery-point.ts'
import { countUnknownPoints } from '../src/recover/find-newer-points.ts'
import { addLife } from './kit/lifecycle.ts'
import { findRecoveryPointsOf } from './kit/points.ts'
import { test } from './kit/test.ts'

/** More than a statement takes parameters. */
const many = 70_000

/** Rows as that of the instance's point, each with a folder of its own. */
async function multiply(database: Database, instanceId: string): Promise<void> {
  const [point] = await findRecoveryPointsOf(database, instanceId)
  await database.execute(sql`
    insert into ${recoveryPoints} select made.* from ${recoveryPoints} point, generate_series(1, ${many}) n,
      jsonb_populate_record(point, jsonb_build_object('id', gen_random_uuid(), 'job_id', null,
        'prefix', 'points/many/' || n || '.1/')) made
    where point.id = ${point?.id ?? ''}`)
}

async function* objects() {
  for (let n = 1; n <= many + 2; n++) {
    yield { key: `points/many/${n}.1/0001.dump.zst.age` }
    yield { key: `points/many/${n}.1/point.json` }
  }
}

test('the points of a vault are compared with the catalogue that a copy has, 70,000 of them too', async ({
  database,
}) => {
  const { id } = await addLife(database)
  await multiply(database, id)
  expect(await countUnknownPoints(database, objects())).toBe(2)
})
