import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record.ts'
import type { Database } from '../database/connect.ts'
import { proofAssertions } from '../database/tables/proof-assertion.ts'
import { checkName, InvalidInput } from '../refusal.ts'
import { findProofAssertions } from './find-proof-assertions.ts'
import type { BackupInstance } from './instance.ts'
import type { ProofAssertion } from './proof-assertion.ts'
import { lockFor } from './transition.ts'

const most = 20
const longestQuery = 4_000

export interface SetProofAssertions {
  instanceId: string
  /** All of them, in the order in which they are asked; those of before are forgotten. */
  assertions: readonly ProofAssertion[]
  actor: string
  now: Date
}

/**
 * Sets what is asked of every copy that is restored to prove a point of the instance. A query is not tried here: there is
 * no copy to ask.
 */
export async function setProofAssertions(
  database: Database,
  { instanceId, assertions, actor, now }: SetProofAssertions,
): Promise<BackupInstance> {
  checkAssertions(assertions)
  return database.transaction(async (tx) => {
    const instance = await lockFor(tx, instanceId, 'SET_PROOF_ASSERTIONS')
    const before = (await findProofAssertions(tx, [instanceId])).get(instanceId) ?? []
    await tx.delete(proofAssertions).where(eq(proofAssertions.instanceId, instanceId))
    if (assertions.length > 0) {
      await tx
        .insert(proofAssertions)
        .values(
          assertions.map(({ name, database, query }, position) => ({ instanceId, position, name, database, query })),
        )
    }
    await recordAudit(tx, {
      actor,
      action: 'setProofAssertions',
      subject: { kind: 'BackupInstance', id: instance.id, name: instance.name },
      before: factsOf(before),
      after: factsOf(assertions),
      now,
    })
    return instance
  })
}

function factsOf(assertions: readonly ProofAssertion[]): Record<string, string> {
  return Object.fromEntries(assertions.map(({ name, database, query }) => [name, `in ${database}: ${query}`]))
}

function checkAssertions(assertions: readonly ProofAssertion[]): void {
  if (assertions.length > most) {
    throw new InvalidInput('assertions', `There may be ${most} assertions; ${assertions.length} were given.`, [
      'Put several conditions into one query, joined by "and".',
    ])
  }
  const names = new Set<string>()
  for (const [index, { name, database, query }] of assertions.entries()) {
    const field = `assertions.${index}`
    checkName(`${field}.name`, name)
    if (names.has(name)) {
      throw new InvalidInput(`${field}.name`, `Another assertion is named "${name}" already.`, ['Choose another name.'])
    }
    names.add(name)
    if (database === '' || Buffer.byteLength(database) > 63 || database.includes('\0') || !database.isWellFormed()) {
      throw new InvalidInput(`${field}.database`, "A database's name has 1 to 63 bytes.", [
        'Give the name of a database of the protected server.',
      ])
    }
    checkQuery(`${field}.query`, query)
  }
}

function checkQuery(field: string, query: string): void {
  if (query.trim() === '' || query.length > longestQuery) {
    throw new InvalidInput(field, `A query has 1 to ${longestQuery} characters; this one has ${query.length}.`, [
      'Give one query that answers one row with one boolean, such as: select count(*) > 0 from public.orders',
    ])
  }
  if (query.includes('\0') || !query.isWellFormed()) {
    throw new InvalidInput(field, 'A query holds no NUL and no half characters.', ['Type it anew.'])
  }
}
