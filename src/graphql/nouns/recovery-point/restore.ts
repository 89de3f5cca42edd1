import { OperationNotAllowed } from '../../../instance/states.ts'
import { RecoveryPointBeingRemoved } from '../../../recovery-point/recovery-point.ts'
import { InvalidInput, NotFound } from '../../../refusal.ts'
import { ownershipOf } from '../../../restore/ownership.ts'
import { RecoveryPointSuspect, RestoreAlreadyRunning } from '../../../restore/refuse.ts'
import type {
  RestoreDifference as Difference,
  DatabaseMapping as Mapping,
  RestoreReport as Report,
  RestoreRequest,
} from '../../../restore/restore.ts'
import { restoreToServer } from '../../../restore/to-server.ts'
import { ServerWithoutCredentials } from '../../../server/server.ts'
import { builder } from '../../schema/builder.ts'
import { mutation } from '../../schema/mutation.ts'
import { idOf, Job, PostgresServer, StorageContainer } from '../declared.ts'
import { ArchiveFormat, RestoreOwnership } from '../enums.ts'
import { asked } from '../fields.ts'
import { partOf, RestorePart, RestorePartInput } from './restore-part.ts'

const DatabaseMapping = builder.objectRef<Mapping>('DatabaseMapping').implement({
  description: 'One database of a recovery point, and the name that it gets where it is restored.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name in the recovery point.' }),
    targetName: t.exposeString('targetName', { description: 'Its name at the destination.' }),
  }),
})

export const RecoveryDestination = builder.objectRef<RestoreRequest>('RecoveryDestination').implement({
  description: 'Where a restore was asked to bring a recovery point, or databases of it.',
  fields: (t) => ({
    directory: t.string({
      nullable: true,
      description:
        "The directory on the worker's machine that gets the files; null for a restore into a container or a server.",
      resolve: (request) =>
        request.kind === 'FILES' && request.target.kind === 'DIRECTORY' ? request.target.path : null,
    }),
    storageContainer: t.field({
      type: StorageContainer,
      nullable: true,
      description:
        'The container that gets the files; null for a restore into a directory or a server, or when it was deleted.',
      resolve: (request) =>
        request.kind === 'FILES' && request.target.kind === 'CONTAINER' ? request.target.containerId : null,
    }),
    folder: t.string({
      nullable: true,
      description: 'The folder of the container that gets the files; null for a restore into a directory or a server.',
      resolve: (request) =>
        request.kind === 'FILES' && request.target.kind === 'CONTAINER' ? request.target.folder : null,
    }),
    format: t.field({
      type: ArchiveFormat,
      nullable: true,
      description: 'The form of the files; null for a restore into a server.',
      resolve: (request) => (request.kind === 'FILES' ? request.format : null),
    }),
    server: t.field({
      type: PostgresServer,
      nullable: true,
      description:
        'The server that gets the databases; null for a restore as files, or when it is no longer registered.',
      resolve: (request) => (request.kind === 'SERVER' ? request.serverId : null),
    }),
    ownership: t.field({
      type: RestoreOwnership,
      nullable: true,
      description: 'Who owns what is restored into the server; null for a restore as files.',
      resolve: (request) => (request.kind === 'SERVER' ? request.ownership.kind : null),
    }),
    ownerRole: t.string({
      nullable: true,
      description: 'The role that everything restored belongs to; null unless the ownership is TO_ROLE.',
      resolve: (request) =>
        request.kind === 'SERVER' && request.ownership.kind === 'TO_ROLE' ? request.ownership.role : null,
    }),
    part: t.field({
      type: RestorePart,
      nullable: true,
      description: 'What of its one database is restored; null when the databases are restored whole.',
      resolve: (request) => request.part,
    }),
    databases: t.field({
      type: [DatabaseMapping],
      description: 'The databases that were asked for.',
      resolve: (request) =>
        request.kind === 'SERVER' ? request.databases : request.databases.map((name) => ({ name, targetName: name })),
    }),
  }),
})

const RestoredDatabase = builder.objectRef<Report['databases'][number]>('RestoredDatabase').implement({
  description: 'One database that a restore brought back.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name in the recovery point.' }),
    targetName: t.exposeString('targetName', { description: 'Its name at the destination.' }),
    tableCount: t.exposeInt('tableCount', { description: 'How many tables it has.' }),
    rowCount: t.expose('rowCount', { type: 'RowCount', description: 'How many rows its tables have together.' }),
  }),
})

const RestoredFile = builder.objectRef<Report['files'][number]>('RestoredFile').implement({
  description: 'One file that a restore wrote.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name in the directory or folder.' }),
    sizeBytes: t.expose('sizeBytes', { type: 'ByteCount', description: 'Its size in bytes.' }),
  }),
})

const RestoreDifference = builder.objectRef<Difference>('RestoreDifference').implement({
  description: 'One way in which what was restored is not what was backed up.',
  fields: (t) => ({
    database: t.exposeString('database', { description: "The database's name in the recovery point." }),
    subject: t.exposeString('subject', { description: 'The table\'s quoted name, or "large objects".' }),
    expected: t.expose('expected', {
      type: 'RowCount',
      nullable: true,
      description: 'How many rows, or large objects, the backup counted; null when it held no such table.',
    }),
    actual: t.expose('actual', {
      type: 'RowCount',
      nullable: true,
      description: 'How many there were after the restore; null when there was no such table.',
    }),
    message: t.exposeString('message', { description: 'The same as a sentence.' }),
  }),
})

export const RestoreReport = builder.objectRef<Report>('RestoreReport').implement({
  description: 'What a restore brought back, or would have brought back, had its rows been those of the backup.',
  fields: (t) => ({
    destination: t.exposeString('destination', { description: 'Where it lies now, in words.' }),
    databases: t.expose('databases', { type: [RestoredDatabase], description: 'The databases that came back.' }),
    files: t.expose('files', {
      type: [RestoredFile],
      description: 'The files that were written; empty for a restore into a server.',
    }),
    rolesCreated: t.exposeStringList('rolesCreated', {
      description:
        'The roles that the server lacked and that were created, without passwords, by any attempt; empty for a restore as files.',
    }),
    differences: t.field({
      type: [RestoreDifference],
      description: 'Where rows are not those of the backup; any of them makes the restore fail and is not kept.',
      resolve: (report) => report.differences ?? [],
    }),
    omitted: t.stringList({
      description:
        'What could not be restored or applied, a sentence each: of roles, settings, grants, or a part, and of a database "postgres" that holds nothing, or of which that is not known.',
      resolve: (report) => report.omitted ?? [],
    }),
    warnings: t.stringList({
      description: 'What pg_restore warned of, and what lies elsewhere than it did, a sentence each.',
      resolve: (report) => report.warnings ?? [],
    }),
  }),
})

export const DatabaseMappingInput = builder.inputType('DatabaseMappingInput', {
  description: 'One database of a recovery point, and the name that it shall get on the server.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name in the recovery point.' }),
    targetName: t.string({
      description:
        'Its name on the server, where no database has that name or one that is empty; as in the recovery point when left out.',
    }),
  }),
})

/** The databases as they were asked for, each with the name that it gets; null: all of them. */
export function mappingsOf(given: readonly (typeof DatabaseMappingInput.$inferInput)[] | null | undefined) {
  return given?.map(({ name, targetName }) => ({ name, targetName: targetName ?? name })) ?? null
}

mutation('restoreToServer', {
  description:
    'Starts a job that restores databases of a recovery point into a server: only into databases that are new or empty, and visible when all of them are complete.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point.' }),
    server: t.globalID({ required: true, description: 'The id of the registered server to restore into.' }),
    databases: t.field({
      type: [DatabaseMappingInput],
      description:
        'The databases to restore, with their new names. When left out, all under their own names, but for a database "postgres" that holds nothing, which every server has: the report tells of it. Of a recovery point of version 0.3 or older it is not known: there one without a table is left out, with a warning of the job; name it to have it.',
    }),
    part: t.field({
      type: RestorePartInput,
      description:
        'What of one database to restore into its own new or empty one; the databases are restored whole when left out.',
    }),
    ownership: t.field({
      type: RestoreOwnership,
      required: true,
      defaultValue: 'KEEP',
      description: 'Who owns what is restored.',
    }),
    ownerRole: t.string({
      description: 'The existing role that everything is to belong to: with ownership TO_ROLE, and only then.',
    }),
  }),
  payload: { job: { type: Job, description: 'The job that restores.' } },
  refusals: [
    NotFound,
    InvalidInput,
    OperationNotAllowed,
    RecoveryPointBeingRemoved,
    RecoveryPointSuspect,
    ServerWithoutCredentials,
    RestoreAlreadyRunning,
  ],
  resolve: async ({ recoveryPoint, server, databases, part, ownership, ownerRole }, context) => ({
    job: await restoreToServer(context.database, {
      recoveryPointId: idOf('RecoveryPoint', recoveryPoint),
      serverId: idOf('PostgresServer', server),
      databases: mappingsOf(databases),
      part: partOf(part),
      ownership: ownershipOf(ownership, ownerRole ?? null),
      ...asked(context),
    }),
  }),
})
