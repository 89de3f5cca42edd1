import type { ServerAddress } from './address.ts'
import { asEngineError } from './classify.ts'
import { EngineError } from './engine-error.ts'
import { quoteIdentifier } from './quote.ts'
import { openSession, type Session } from './session.ts'
import { refuseContents } from './target-database.ts'
import { dropTemporary, temporaryNames } from './temporary-database.ts'

interface Publication {
  adminDatabase: string
  targetName: string
  token: string
  signal: AbortSignal
}

/**
 * Gives a restored database the name of its target. An existing target is first moved aside, where nobody can write to it
 * any more, looked at again, and dropped only if it is empty; otherwise it gets its name back. Throws TARGET_NOT_EMPTY or
 * TARGET_IN_USE and leaves the target as it was.
 */
export async function publishRestore(address: ServerAddress, publication: Publication): Promise<void> {
  const { adminDatabase, targetName, token, signal } = publication
  const { restoring, replaced } = temporaryNames(token)
  await using session = await openSession(address, adminDatabase, { signal })
  try {
    const [target] = await session.sql`select from pg_database where datname = ${targetName}`
    if (!target) return await rename(session, restoring, targetName)
    await rename(session, targetName, replaced)
    try {
      await refuseContents(address, replaced, signal)
      await rename(session, restoring, targetName)
    } catch (error) {
      await giveBack(address, adminDatabase, replaced, targetName)
      throw error
    }
    await dropTemporary(session, replaced)
  } catch (error) {
    signal.throwIfAborted()
    const failure = asEngineError(error, `Giving the restored database its name ${quoteIdentifier(targetName)}`)
    if (failure.code !== 'TARGET_IN_USE') throw failure
    const message = `Database ${quoteIdentifier(targetName)} is empty but in use: someone is connected to it.`
    throw new EngineError('TARGET_IN_USE', message, failure.details, { cause: error })
  }
}

async function rename({ sql }: Session, from: string, to: string): Promise<void> {
  await sql.unsafe(`alter database ${quoteIdentifier(from)} rename to ${quoteIdentifier(to)}`)
}

// The session may have gone with whatever failed, or with the abort: this takes one of its own.
async function giveBack(address: ServerAddress, adminDatabase: string, replaced: string, name: string): Promise<void> {
  await using session = await openSession(address, adminDatabase, { signal: AbortSignal.timeout(30_000) })
  await rename(session, replaced, name)
}
