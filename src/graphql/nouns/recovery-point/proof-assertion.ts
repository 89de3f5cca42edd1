import type { ProofAssertion as Assertion } from '../../../instance/proof-assertion.ts'
import { setProofAssertions } from '../../../instance/set-proof-assertions.ts'
import { OperationNotAllowed } from '../../../instance/states.ts'
import { InvalidInput, NotFound } from '../../../refusal.ts'
import { builder } from '../../schema/builder.ts'
import { mutation } from '../../schema/mutation.ts'
import { BackupInstance, idOf } from '../declared.ts'
import { asked } from '../fields.ts'
import { proofAssertionsOf } from '../loaded.ts'

const ProofAssertion = builder.objectRef<Assertion>('ProofAssertion').implement({
  description: 'What an operator knows to be true of the data: asked of every copy that is restored to prove a point.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, which proofs and findings say.' }),
    database: t.exposeString('database', { description: 'The database that it is asked of.' }),
    query: t.exposeString('query', { description: 'The query, which has to answer one row with one boolean, true.' }),
  }),
})

builder.objectFields(BackupInstance, (t) => ({
  proofAssertions: t.field({
    type: [ProofAssertion],
    description: 'What is asked of every copy that is restored to prove a recovery point of it, in this order.',
    resolve: async ({ id }, _args, context) => (await proofAssertionsOf(context, id, undefined)) ?? [],
  }),
}))

const ProofAssertionInput = builder.inputType('ProofAssertionInput', {
  description: 'What an operator knows to be true of the data.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name; no other assertion of the backup instance has it.' }),
    database: t.string({ required: true, description: 'The name of the database that it is asked of.' }),
    query: t.string({
      required: true,
      description:
        'One query, in at most 4,000 characters, that answers one row with one boolean: true when all is well, such as: select count(*) > 1000 from orders',
    }),
  }),
})

mutation('setProofAssertions', {
  description:
    'Sets what is asked of every copy of a backup instance that is restored to prove a recovery point, read-only, by a role that may change nothing. One that answers false makes the point SUSPECT. Those of before are forgotten.',
  input: (t) => ({
    backupInstance: t.globalID({ required: true, description: 'The id of the backup instance.' }),
    assertions: t.field({
      type: [ProofAssertionInput],
      required: true,
      description: 'All of them, at most 20, in the order in which they are asked; none when empty.',
    }),
  }),
  payload: { backupInstance: { type: BackupInstance, description: 'The backup instance with its assertions.' } },
  refusals: [InvalidInput, NotFound, OperationNotAllowed],
  resolve: async ({ backupInstance, assertions }, context) => ({
    backupInstance: await setProofAssertions(context.database, {
      instanceId: idOf('BackupInstance', backupInstance),
      assertions,
      ...asked(context),
    }),
  }),
})
