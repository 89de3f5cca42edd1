import { type AuditAction, type AuditSubjectKind, auditActions, auditSubjectKinds } from '../../audit/actions.ts'
import {
  type AuditFilter,
  type AuditRecord as AuditRow,
  countAuditRecords,
  pageAuditRecords,
} from '../../audit/find.ts'
import { builder, nodeNames } from '../schema/builder.ts'
import { enumeration } from '../schema/enumeration.ts'
import { checkSpan, searchText } from '../schema/filter-checks.ts'
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

interface Change {
  field: string
  before: string | null
  after: string | null
}

const AuditChange = builder.objectRef<Change>('AuditChange').implement({
  description: 'One fact that an operation changed; never a secret.',
  fields: (t) => ({
    field: t.exposeString('field', { description: 'What the fact is about.' }),
    before: t.exposeString('before', {
      nullable: true,
      description: 'What it was, as text; null when there was nothing.',
    }),
    after: t.exposeString('after', {
      nullable: true,
      description: 'What it is from then on, as text; null when there is nothing any more.',
    }),
  }),
})

const AuditActionRef = enumeration<AuditAction>(
  'AuditAction',
  'Something that was done, by the name of the mutation that does it or of the transition that Holdfast made itself.',
  auditActions,
)

const SubjectKind = enumeration<AuditSubjectKind>(
  'AuditSubjectKind',
  'The type of what something was done to.',
  auditSubjectKinds,
)

AuditRecord.implement({
  description: 'One line of the audit log: who did what to what, when and why. Lines are never changed or removed.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    actor: t.exposeString('actor', { description: 'Who did it, as `viewer` named them; `holdfast` for the service.' }),
    action: t.field({
      type: AuditActionRef,
      description: 'What was done, by the name of the mutation or of the transition.',
      // Only recordAudit writes lines, and its type takes no other action.
      resolve: ({ action }) => action as AuditAction,
    }),
    subjectKind: t.field({
      type: SubjectKind,
      description: 'The type of what it was done to.',
      // As above.
      resolve: ({ subjectKind }) => subjectKind as AuditSubjectKind,
    }),
    subjectName: t.exposeString('subjectName', { description: 'The name of what it was done to, at that time.' }),
    subject: t.node({
      description: 'What it was done to; null when it is no longer there.',
      id: ({ subjectKind, subjectId }) => (nodeNames.has(subjectKind) ? encodeNodeId(subjectKind, subjectId) : null),
    }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why it was done; null when nobody said.' }),
    changes: t.field({
      type: [AuditChange],
      description:
        'What was changed, as it was and as it is since; what stayed as it was is left out. Empty where nothing but the fact itself is to be told.',
      resolve: changesOf,
    }),
    details: t.field({
      type: [AuditDetail],
      description: 'Further facts of the change.',
      resolve: ({ detail }) =>
        Object.entries(detail).flatMap(([name, value]) => (value === null ? [] : { name, value: shown(name, value) })),
    }),
  }),
})

function changesOf({ before, after }: AuditRow): Change[] {
  const fields = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])
  const text = (facts: AuditRow['before'], field: string) => {
    const value = facts?.[field] ?? null
    return value === null ? null : shown(field, value)
  }
  // Lines of former versions hold facts that did not change.
  return [...fields]
    .map((field) => ({ field, before: text(before, field), after: text(after, field) }))
    .filter((change) => change.before !== change.after)
}

const kindsOfFacts: Readonly<Record<string, string>> = {
  job: 'Job',
  cleanUpJob: 'Job',
  purgeJob: 'Job',
  vault: 'Vault',
  policy: 'BackupPolicy',
  server: 'PostgresServer',
  recoveryPoint: 'RecoveryPoint',
}
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** A fact as text; an object without a name is told by the id that the API knows it by. */
function shown(name: string, value: string | number | boolean | null): string {
  const kind = kindsOfFacts[name]
  return kind !== undefined && uuid.test(String(value)) ? encodeNodeId(kind, String(value)) : String(value)
}

const AuditLogFilter = builder.inputType('AuditLogFilter', {
  description: 'Which lines of the audit log: those that everything given holds for.',
  fields: (t) => ({
    actor: t.string({ description: 'Of what this one did, as `viewer` named them; `holdfast` for the service.' }),
    action: t.field({ type: [AuditActionRef], description: 'Of one of these operations.' }),
    subjectKind: t.field({ type: SubjectKind, description: 'Of what was done to objects of this type.' }),
    subject: t.globalID({ description: 'Of what was done to the object with this id, which may be gone by now.' }),
    since: t.field({ type: 'DateTime', description: 'Written at this moment or later.' }),
    until: t.field({ type: 'DateTime', description: 'Written before this moment.' }),
  }),
})

// The keys of that record are the kinds.
const subjectKinds = Object.keys(auditSubjectKinds) as AuditSubjectKind[]

function filterOf(given: typeof AuditLogFilter.$inferInput | null | undefined): AuditFilter {
  const { actor, action, subjectKind, subject, since, until } = given ?? {}
  checkSpan(['filter.since', since], ['filter.until', until])
  // An object of another type than asked for is none of those asked for.
  const kindOfSubject = subjectKinds.find((kind) => kind === subject?.typename)
  const isContradiction = subject && (kindOfSubject ?? 'none') !== (subjectKind ?? kindOfSubject)
  return {
    ...(actor != null && { actor: searchText('filter.actor', actor) }),
    ...(isContradiction ? { actions: [] } : action && { actions: action }),
    ...(subjectKind && { subjectKind }),
    ...(subject && kindOfSubject && { subjectKind: kindOfSubject, subjectId: subject.id }),
    ...(since && { since }),
    ...(until && { until }),
  }
}

builder.queryField('auditLog', (t) =>
  t.field({
    type: AuditRecordConnection,
    description: 'The audit log, newest first.',
    args: {
      filter: t.arg({ type: AuditLogFilter, description: 'Which lines; all when left out.' }),
      ...pageArgs(t),
    },
    resolve: async (_root, { filter, ...args }, { database }) => ({
      page: await pageAuditRecords(database, { filter: filterOf(filter), page: pageRequest(AuditRecord, args) }),
      count: () => countAuditRecords(database, filterOf(filter)),
    }),
  }),
)
