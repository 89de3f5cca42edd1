import type {
  DatabaseContents as DatabaseRow,
  PointContents,
  RoleFacts,
} from '../../../recovery-point/contents/contents.ts'
import { databaseKey, findContents, findRolesIn, type TableFilter } from '../../../recovery-point/contents/find.ts'
import { batched } from '../../schema/batched.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { searchText } from '../../schema/filter-checks.ts'
import { pageArgs } from '../../schema/paging.ts'
import { RecoveryPoint } from '../declared.ts'
import { none } from '../fields.ts'
import {
  SchemaConnection,
  schemaCountOf,
  schemaPage,
  schemasOf,
  TableConnection,
  TableOrder,
  tableCountOf,
  tablePage,
  tablesOf,
} from './contents-lists.ts'

const contentsOf = batched(({ database }, pointIds) => findContents(database, pointIds))
const rolesOf = batched(({ database }, contentsIds) => findRolesIn(database, contentsIds))

const LocaleProvider = enumeration<DatabaseRow['localeProvider']>(
  'LocaleProvider',
  'What sorts and compares the texts of a database.',
  {
    LIBC: "The operating system's library, by its locale names.",
    ICU: 'The ICU library.',
    BUILTIN: 'PostgreSQL itself.',
  },
)

const ContainedExtension = builder.objectRef<DatabaseRow['extensions'][number]>('ContainedExtension').implement({
  description: 'One extension of a database that a recovery point holds: a server to restore into must offer it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    version: t.exposeString('version', { description: 'Its version at the source.' }),
    schema: t.exposeString('schema', { description: 'The schema that its objects are in.' }),
  }),
})

const RoleContents = builder.objectRef<RoleFacts>('RoleContents').implement({
  description: 'One role that a recovery point holds; passwords are never part of one.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    isSuperuser: t.exposeBoolean('isSuperuser', { description: 'Whether it is a superuser.' }),
    canLogin: t.exposeBoolean('canLogin', { description: 'Whether it may sign in.' }),
    inherits: t.exposeBoolean('inherits', { description: 'Whether it has the rights of the roles it is a member of.' }),
    createsDatabases: t.exposeBoolean('createsDatabases', { description: 'Whether it may create databases.' }),
    createsRoles: t.exposeBoolean('createsRoles', { description: 'Whether it may create roles.' }),
    isReplication: t.exposeBoolean('isReplication', { description: 'Whether it may stream replication.' }),
    bypassesRowSecurity: t.exposeBoolean('bypassesRowSecurity', {
      description: 'Whether row-level security does not hold for it.',
    }),
    connectionLimit: t.int({
      nullable: true,
      description: 'How many connections it may have at once; null for no limit.',
      resolve: ({ connectionLimit }) => (connectionLimit < 0 ? null : connectionLimit),
    }),
    validUntil: t.exposeString('validUntil', {
      nullable: true,
      description: "When its password ends, in PostgreSQL's own text form, UTC; null when it does not.",
    }),
    memberOf: t.exposeStringList('memberOf', { description: 'The roles that it is a member of.' }),
  }),
})

const DatabaseContents = builder.objectRef<DatabaseRow>('DatabaseContents').implement({
  description: 'One database that a recovery point holds, with its schemas and tables.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name on the server.' }),
    owner: t.exposeString('ownerName', { description: 'The role that owned it.' }),
    sourceBytes: t.expose('sourceBytes', {
      type: 'ByteCount',
      description: 'Its size on the server when it was dumped, indexes included.',
    }),
    encoding: t.exposeString('encoding', { description: 'How its texts are encoded, such as "UTF8".' }),
    localeProvider: t.expose('localeProvider', { type: LocaleProvider, description: 'What sorts its texts.' }),
    collate: t.exposeString('collate', {
      description: 'Its LC_COLLATE: how texts are sorted, where nothing else says.',
    }),
    ctype: t.exposeString('ctype', { description: 'Its LC_CTYPE: which characters are letters.' }),
    locale: t.exposeString('locale', {
      nullable: true,
      description: 'The locale of the provider; null for LIBC, where collate and ctype say all.',
    }),
    extensions: t.expose('extensions', { type: [ContainedExtension], description: 'Its extensions, by name.' }),
    schemaCount: t.exposeInt('schemaCount', { description: 'How many schemas it has.' }),
    tableCount: t.exposeInt('tableCount', {
      description: 'How many tables with rows of their own it has, partitions included.',
    }),
    rowCount: t.expose('rowCount', {
      type: 'RowCount',
      description: 'How many rows these have together, counted in the snapshot of the dump.',
    }),
    schemas: t.field({
      type: SchemaConnection,
      description: 'Its schemas by name, empty ones included.',
      args: {
        nameContains: t.arg.string({ description: 'Only those with this text in their name, in any case of letters.' }),
        ...pageArgs(t),
      },
      resolve: async (row, { nameContains: text, ...args }, context) => {
        const key = databaseKey(row)
        const nameContains = text == null ? undefined : searchText('nameContains', text)
        const page = await schemasOf(context, key, { nameContains, page: schemaPage(args, key) })
        return {
          page: page ?? none,
          count: async () =>
            nameContains === undefined ? row.schemaCount : ((await schemaCountOf(context, key, { nameContains })) ?? 0),
        }
      },
    }),
    tables: t.field({
      type: TableConnection,
      description: 'Its tables, partitions and the tables that these are partitions of.',
      args: {
        schema: t.arg.string({ description: 'Only those in the schema of exactly this name.' }),
        nameContains: t.arg.string({ description: 'Only those with this text in their name, in any case of letters.' }),
        orderBy: t.arg({ type: TableOrder, description: 'In which order; by NAME when left out.' }),
        ...pageArgs(t),
      },
      resolve: async (row, { schema, nameContains, orderBy, ...args }, context) => {
        const key = databaseKey(row)
        const order = orderBy ?? 'NAME'
        const filter: TableFilter = {
          ...(schema != null && { schema: searchText('schema', schema) }),
          ...(nameContains != null && { nameContains: searchText('nameContains', nameContains) }),
        }
        const isFiltered = Object.keys(filter).length > 0
        const page = await tablesOf(context, key, { filter, order, page: tablePage(args, key, order) })
        return {
          page: page ?? none,
          count: async () =>
            isFiltered ? ((await tableCountOf(context, key, { filter })) ?? 0) : row.listedTableCount,
        }
      },
    }),
  }),
})

function databasesIn({ id, databases }: PointContents): DatabaseRow[] {
  return databases.map((each, position) => ({ ...each, contentsId: id, position }))
}

const RecoveryPointContents = builder.objectRef<PointContents>('RecoveryPointContents').implement({
  description: 'What a recovery point holds, as its manifest says.',
  fields: (t) => ({
    databases: t.field({
      type: [DatabaseContents],
      description: 'Its databases, by name.',
      resolve: databasesIn,
    }),
    database: t.field({
      type: DatabaseContents,
      nullable: true,
      description: 'One of its databases, to page through what it holds; null when it has none of that name.',
      args: { name: t.arg.string({ required: true, description: 'Exactly its name.' }) },
      resolve: (contents, { name }) => databasesIn(contents).find((each) => each.name === name),
    }),
    roles: t.field({
      type: [RoleContents],
      description:
        'The roles of the server, by name; those of PostgreSQL itself and of a managed service are left out.',
      resolve: async ({ id }, _args, context) => (await rolesOf(context, id, undefined)) ?? [],
    }),
    recordedAt: t.expose('recordedAt', { type: 'DateTime', description: 'When this was written down.' }),
  }),
})

builder.objectField(RecoveryPoint, 'contents', (t) =>
  t.field({
    type: RecoveryPointContents,
    nullable: true,
    description:
      'What it holds: databases, schemas, tables and roles. Null when that was not written down, as for points of version 0.2 and older: a verification of the point makes up for it.',
    resolve: async ({ id }, _args, context) => (await contentsOf(context, id, undefined)) ?? null,
  }),
)
