import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { auditRecords } from '../src/database/tables/audit.ts'
import { test } from './kit/test.ts'

const forbidden = [
  `update audit_records set actor = 'nobody'`,
  'delete from audit_records',
  'truncate audit_records',
  'truncate audit_records cascade',
]

for (const statement of forbidden) {
  test(`the database itself refuses "${statement}"`, async ({ database }) => {
    const [written] = await database
      .insert(auditRecords)
      .values({
        id: crypto.randomUUID(),
        at: new Date(),
        actor: 'operator',
        action: 'stopProtection',
        subjectKind: 'BackupInstance',
        subjectId: crypto.randomUUID(),
        subjectName: 'orders',
        detail: {},
      })
      .returning()
    // The way that restores and replicas take around ordinary triggers is closed as well.
    for (const role of ['origin', 'replica']) {
      const attempt = database.transaction(async (tx) => {
        await tx.execute(sql.raw(`set local session_replication_role = ${role}`))
        await tx.execute(sql.raw(statement))
      })
      await expect(attempt).rejects.toMatchObject({
        cause: { message: expect.stringContaining('audit records are append-only') },
      })
    }
    expect(await database.select().from(auditRecords)).toEqual([written])
  })
}
