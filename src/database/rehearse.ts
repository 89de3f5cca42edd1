import type { Database } from './connect.ts'

class Rehearsed<T> extends Error {
  readonly result: T

  constructor(result: T) {
    super('Rolled back: this was a dry run.')
    this.result = result
  }
}

/** Thrown by the work of a transaction that has to be done again from its beginning, with none of its locks held. */
export class StartOver extends Error {}

const mostStarts = 5

/**
 * Runs one transaction; as a dry run it does all of it, answers the same, and takes it back at the end, so that what a
 * dry run says is what the real run does. What the work throws goes through, but for StartOver, the first few times.
 */
export async function carryOut<T>(
  database: Database,
  { dryRun }: { dryRun: boolean },
  work: (tx: Database) => Promise<T>,
): Promise<T> {
  for (let start = 1; ; start++) {
    try {
      return await carryOutOnce(database, { dryRun }, work)
    } catch (cause) {
      if (!(cause instanceof StartOver) || start === mostStarts) throw cause
    }
  }
}

async function carryOutOnce<T>(
  database: Database,
  { dryRun }: { dryRun: boolean },
  work: (tx: Database) => Promise<T>,
): Promise<T> {
  if (!dryRun) return database.transaction(work)
  try {
    return await database.transaction(async (tx): Promise<T> => {
      throw new Rehearsed(await work(tx))
    })
  } catch (cause) {
    // Thrown by the lines above alone, with that type of result.
    if (cause instanceof Rehearsed) return cause.result as T
    throw cause
  }
}
