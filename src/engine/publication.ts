import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import type { Session } from './session.ts'

/** A restored database that waits under its temporary name; it can be written down, and looked for by another process. */
export interface Publication {
  targetName: string
  token: string
  /** The server's own number of the database: it stays when the name changes. */
  oid: number
  /** Of the server that gave the number, as others give the same ones; null where it was not to be known. */
  systemIdentifier: string | null
  /** What it gets together with its name. */
  comment: string | null
  connectionLimit: number
}

/** The database to give orders from: one that is no target, for those are renamed. */
export function adminDatabaseFor({ maintenanceDatabase }: ServerAddress, targetNames: readonly string[]): string {
  return targetNames.includes(maintenanceDatabase) ? 'template1' : maintenanceDatabase
}

/** What tells a server's data apart from any other's, whatever its address; null where the role may not know. */
export async function systemIdentifierOf({ sql }: Session): Promise<string | null> {
  try {
    const [row] = await sql<{ id: string }[]>`select system_identifier::text as id from pg_control_system()`
    return row?.id ?? null
  } catch (error) {
    if (isRefusal(error)) return null
    throw asEngineError(error, 'Asking the server who it is')
  }
}

/** The function is kept from the role, or the server has none. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '42501' || error.code === '42883')
}
