import { countAuditRecords, pageAuditRecords } from '../../audit/find.ts'
import { builder, nodeNames } from '../schema/builder.ts'
import { encodeNodeId } from '../schema/ids.ts'
import { pageArgs, pageRequest } from '../schema/paging.ts'
import { AuditRecord, AuditRecordConnection } from './declared.ts'

const AuditDetail = builder.objectRef<{ name: string; value: string }>('AuditDetail').implement({
  description: 'One fact of a change; never a secret.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What the fact is about.' }),
    value: t.exposeString('value', { description: 'The fact, as text.' }),
  }),
})

AuditRecord.implement({
  description: 'One line of the audit log: who did what to what, when and why. Lines are never changed or removed.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    actor: t.exposeString('actor', { description: 'Who did it, as `viewer` named them; `holdfast` for the service.' }),
    action: t.exposeString('action', {
      description: 'What was done, by the name of the mutation or of the transition.',
    }),
    subjectKind: t.exposeString('subjectKind', { description: 'The type of what it was done to.' }),
    subjectName: t.exposeString('subjectName', { description: 'The name of what it was done to, at that time.' }),
    subject: t.node({
      description: 'What it was done to; null when it is no longer there.',
      id: ({ subjectKind, subjectId }) => (nodeNames.has(subjectKind) ? encodeNodeId(subjectKind, subjectId) : null),
    }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why it was done; null when nobody said.' }),
    details: t.field({
      type: [AuditDetail],
      description: 'Further facts of the change.',
      resolve: ({ detail }) => Object.entries(detail).map(([name, value]) => ({ name, value: shown(name, value) })),
    }),
  }),
})

/** A job is told by the id that the API knows it by. */
function shown(name: string, value: string | number | boolean | null): string {
  return name === 'job' ? encodeNodeId('Job', String(value)) : String(value)
}

builder.queryField('auditLog', (t) =>
  t.field({
    type: AuditRecordConnection,
    description: 'The audit log, newest first.',
    args: pageArgs(t),
    resolve: async (_root, args, { database }) => ({
      page: await pageAuditRecords(database, { page: pageRequest(args) }),
      count: () => countAuditRecords(database),
    }),
  }),
)
