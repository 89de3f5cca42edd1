import type {
  CheckedAssertion as Asked,
  ProofChecks as Checks,
  RecoveryPointProof as Proof,
} from '../../../recovery-point/proof.ts'
import { badUserInput } from '../../schema/bad-user-input.ts'
import { builder } from '../../schema/builder.ts'
import { Job, RecoveryPoint } from '../declared.ts'
import { ProofLevel, ProofOutcome } from '../enums.ts'
import { durationText } from '../fields.ts'
import { proofsOf } from '../loaded.ts'

const mostProofs = 50

const CheckedAssertion = builder.objectRef<Asked>('CheckedAssertion').implement({
  description: "What an operator's assertion came to in the restored copy.",
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name of the assertion.' }),
    database: t.exposeString('database', { description: 'The database that it was asked of.' }),
    holds: t.exposeBoolean('holds', { description: 'Whether it answered true.' }),
  }),
})

const ProofChecks = builder.objectRef<Checks>('ProofChecks').implement({
  description: 'What was looked at for a proof; null where its level does not look at it.',
  fields: (t) => ({
    artifacts: t.exposeInt('artifacts', { description: 'How many stored files were read, the manifest included.' }),
    storedBytes: t.expose('storedBytes', {
      type: 'ByteCount',
      description: 'How many stored bytes were read and digested.',
    }),
    plainBytes: t.expose('plainBytes', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes the archives opened to, all of them decoded.',
    }),
    databases: t.exposeInt('databases', { nullable: true, description: 'How many databases were restored.' }),
    tables: t.exposeInt('tables', { nullable: true, description: 'How many tables were counted and compared.' }),
    rows: t.expose('rows', {
      type: 'RowCount',
      nullable: true,
      description: 'How many rows those have, as the dump counted them.',
    }),
    largeObjects: t.expose('largeObjects', {
      type: 'RowCount',
      nullable: true,
      description: 'How many large objects were counted and compared.',
    }),
    indexes: t.exposeInt('indexes', {
      nullable: true,
      description:
        'How many B-tree indexes amcheck compared with their tables; null also where the scratch server has no amcheck.',
    }),
    assertions: t.expose('assertions', { type: [CheckedAssertion], description: 'The assertions that were asked.' }),
    toolVersion: t.exposeString('toolVersion', {
      nullable: true,
      description: 'The version of the pg_restore that decoded or restored.',
    }),
    serverVersion: t.exposeString('serverVersion', {
      nullable: true,
      description: 'The version of the scratch server.',
    }),
    findings: t.exposeStringList('findings', {
      description: 'Why it was not found good, one sentence each; empty when it was.',
    }),
  }),
})

const RecoveryPointProof = builder.objectRef<Proof>('RecoveryPointProof').implement({
  description: 'One look at a recovery point: it was shown good to a level, or found not to be.',
  fields: (t) => ({
    level: t.expose('level', { type: ProofLevel, description: 'How far it went.' }),
    outcome: t.expose('outcome', { type: ProofOutcome, description: 'What came of it.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it began.' }),
    endedAt: t.expose('endedAt', { type: 'DateTime', description: 'When it was done.' }),
    duration: t.field({
      type: 'Duration',
      description: 'How long it took.',
      resolve: ({ startedAt, endedAt }) => durationText(endedAt.getTime() - startedAt.getTime()),
    }),
    job: t.field({
      type: Job,
      description: 'The backup or the verification that looked.',
      resolve: ({ jobId }) => jobId,
    }),
    checked: t.expose('checked', { type: ProofChecks, description: 'What was looked at.' }),
  }),
})

builder.objectFields(RecoveryPoint, (t) => ({
  proofs: t.field({
    type: [RecoveryPointProof],
    description: 'The last looks at it, newest first; the first of all is that of its backup.',
    args: {
      first: t.arg.int({
        required: true,
        defaultValue: 10,
        description: `How many to answer, 1 to ${mostProofs}.`,
      }),
    },
    resolve: async ({ id }, { first }, context) => {
      if (first < 1 || first > mostProofs) throw badUserInput(`\`first\` is a number from 1 to ${mostProofs}.`)
      return (await proofsOf(context, id, { first })) ?? []
    },
  }),
}))
