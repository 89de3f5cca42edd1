import type { proofAssertions } from '../database/tables/proof-assertion.ts'

/** What an operator knows to be true of the data: one query that has to answer one row with one boolean, true. */
export type ProofAssertion = Pick<typeof proofAssertions.$inferSelect, 'name' | 'database' | 'query'>
