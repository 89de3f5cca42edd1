import { createPolicy } from '../../policy/create.ts'
import { countPolicies, pagePolicies } from '../../policy/find.ts'
import { InvalidInput, NameTaken } from '../../refusal.ts'
import { builder } from '../schema/builder.ts'
import { mutation } from '../schema/mutation.ts'
import { nodeQuery } from '../schema/node.ts'
import { pageArgs, pageRequest } from '../schema/paging.ts'
import { BackupPolicy, BackupPolicyConnection } from './declared.ts'
import { asked } from './fields.ts'

BackupPolicy.implement({
  description: 'The rules that backup instances follow: how long their recovery points are kept.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name that was given to the policy; no other policy has it.' }),
    defaultRetention: t.field({
      type: 'Duration',
      description: 'How long a recovery point is kept that falls under no other rule.',
      resolve: ({ rules }) => rules.defaultRetention,
    }),
    isBuiltIn: t.exposeBoolean('isBuiltIn', {
      description: 'Whether Holdfast made it itself; it is the one used where an instance names none.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the policy was created.' }),
  }),
})

nodeQuery('policy', BackupPolicy, 'A policy by its id; null when there is none.')

builder.queryField('policies', (t) =>
  t.field({
    type: BackupPolicyConnection,
    description: 'All policies, newest first.',
    args: pageArgs(t),
    resolve: async (_root, args, { database }) => ({
      page: await pagePolicies(database, { page: pageRequest(args) }),
      count: () => countPolicies(database),
    }),
  }),
)

mutation('createPolicy', {
  description: 'Adds a policy of backups on demand.',
  input: (t) => ({
    name: t.string({ required: true, description: 'A name of 1 to 200 characters that no other policy has.' }),
    defaultRetention: t.field({
      type: 'Duration',
      required: true,
      description: 'How long recovery points are kept: whole units, from "P7D" (7 days) to "P10Y" (10 years).',
    }),
  }),
  payload: { policy: { type: BackupPolicy, description: 'The new policy.' } },
  refusals: [InvalidInput, NameTaken],
  resolve: async ({ name, defaultRetention }, context) => ({
    policy: await createPolicy(context.database, { name, defaultRetention, ...asked(context) }),
  }),
})
