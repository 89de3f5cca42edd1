import { countPolicies, findPolicyVersions, pagePolicies } from '../../../policy/find.ts'
import { nextStart } from '../../../policy/schedule.ts'
import { badUserInput } from '../../schema/bad-user-input.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { nodeQuery } from '../../schema/node.ts'
import { pageArgs, pageRequest } from '../../schema/paging.ts'
import { isWritable } from '../../schema/scalars.ts'
import { BackupInstanceConnection, BackupPolicy, BackupPolicyConnection } from '../declared.ts'
import { instancesField } from '../fields.ts'
import { PolicyVersion, rulesFields } from './policy-rules.ts'

const mostListed = 100

const versionsOf = batched(
  ({ database }, policyIds, _first: number) => findPolicyVersions(database, policyIds),
  (first) => first,
)

BackupPolicy.implement({
  description:
    'The rules that backup instances follow: when backups start, and how long their recovery points are kept.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name that was given to the policy; no other policy has it.' }),
    ...rulesFields(t, ({ rules }) => rules),
    nextStarts: t.field({
      type: ['DateTime'],
      description: 'The next moments at which the schedule starts backups, before the spread; none without a schedule.',
      args: {
        count: t.arg.int({ required: true, defaultValue: 5, description: `How many, 1 to ${mostListed}.` }),
        after: t.arg({ type: 'DateTime', description: 'Those after this moment; after the present when left out.' }),
      },
      resolve: ({ rules }, { count, after }, { now }) => {
        const most = checkCount('count', count)
        const starts: Date[] = []
        let start = nextStart(rules, after ?? now())
        while (start && starts.length < most) {
          if (!isWritable(start)) throw badUserInput('`after`: so many starts reach beyond the year 9999.')
          starts.push(start)
          start = nextStart(rules, start)
        }
        return starts
      },
    }),
    versions: t.field({
      type: [PolicyVersion],
      description: 'Its rules as they are and as they were, newest first.',
      args: {
        first: t.arg.int({ required: true, defaultValue: 20, description: `How many, 1 to ${mostListed}.` }),
      },
      resolve: async ({ id }, { first }, context) => {
        const versions = await versionsOf(context, id, checkCount('first', first))
        return versions?.slice(0, first) ?? []
      },
    }),
    isBuiltIn: t.exposeBoolean('isBuiltIn', {
      description: 'Whether Holdfast made it itself; it is the one used where an instance names none.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the policy was created.' }),
    backupInstances: t.field({
      type: BackupInstanceConnection,
      description: 'The backup instances that follow it, deleted ones that can be had back among them, newest first.',
      args: pageArgs(t),
      resolve: (policy, args, context) => instancesField('policy', policy, args, context),
    }),
  }),
})

function checkCount(name: string, count: number): number {
  if (count < 1 || count > mostListed) throw badUserInput(`\`${name}\` is 1 to ${mostListed}; ${count} was given.`)
  return count
}

nodeQuery('policy', BackupPolicy, 'A policy by its id; null when there is none.')

builder.queryField('policies', (t) =>
  t.field({
    type: BackupPolicyConnection,
    description: 'All policies, newest first.',
    args: pageArgs(t),
    resolve: async (_root, args, { database }) => ({
      page: await pagePolicies(database, { page: pageRequest(BackupPolicy, args) }),
      count: () => countPolicies(database),
    }),
  }),
)
