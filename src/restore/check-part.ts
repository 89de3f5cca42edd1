import type { RecoveryPoint } from '../recovery-point/recovery-point.ts'
import { InvalidInput } from '../refusal.ts'
import { checkDatabases } from './refuse.ts'
import type { RestorePart } from './restore.ts'

const most = 1000

/**
 * Refuses a part that names nothing, too much, the same twice, or a database that the point does not hold. Whether its
 * schemas and tables exist is seen when the archive is opened: the job then fails with PART_MISSING.
 */
export function checkPart(point: RecoveryPoint, { database, schemas, tables }: RestorePart): void {
  checkDatabases(point, [database])
  const count = schemas.length + tables.length
  if (count === 0) {
    throw new InvalidInput('part', 'No schema and no table was chosen.', [
      'Name some, or leave the part out to restore the whole database.',
    ])
  }
  if (count > most) {
    throw new InvalidInput('part', `A part names at most ${most} schemas and tables; these are ${count}.`, [
      'Choose whole schemas, or the whole database.',
    ])
  }
  for (const name of [...schemas, ...tables.flatMap((table) => [table.schema, table.name])]) checkName(name)
  const tableNames = tables.map(({ schema, name }) => JSON.stringify([schema, name]))
  if (new Set(schemas).size < schemas.length || new Set(tableNames).size < tables.length) {
    throw new InvalidInput('part', 'A schema or a table was chosen twice.')
  }
}

function checkName(name: string): void {
  const bytes = Buffer.byteLength(name)
  if (bytes >= 1 && bytes <= 63 && !name.includes('\0') && name.isWellFormed()) return
  throw new InvalidInput('part', `The name of a schema or table has 1 to 63 bytes; one of these has ${bytes}.`)
}
