import { OperationNotAllowed } from '../../../instance/states.ts'
import { RecoveryPointBeingRemoved } from '../../../recovery-point/recovery-point.ts'
import { InvalidInput, NotFound } from '../../../refusal.ts'
import { restoreAsFiles } from '../../../restore/as-files.ts'
import { RecoveryPointSuspect, RestoreAlreadyRunning } from '../../../restore/refuse.ts'
import type { DatabaseMapping as Mapping, RestoreReport as Report, RestoreRequest } from '../../../restore/restore.ts'
import { restoreToServer } from '../../../restore/to-server.ts'
import { ServerWithoutCredentials } from '../../../server/server.ts'
import { builder } from '../../schema/builder.ts'
import { mutation } from '../../schema/mutation.ts'
import { idOf, Job, PostgresServer } from '../declared.ts'
import { RestoreOwnership } from '../enums.ts'
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
      description: "The directory on the worker's machine that gets the files; null for a restore into a server.",
      resolve: (request) =>
        request.kind === 'FILES' && request.target.kind === 'DIRECTORY' ? request.target.path : null,
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
      resolve: (request) =>
        request.kind === 'SERVER' && request.ownership.kind !== 'TO_ROLE' ? request.ownership.kind : null,
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
    name: t.exposeString('name', { description: 'Its name in the directory.' }),
    sizeBytes: t.expose('sizeBytes', { type: 'ByteCount', description: 'Its size in bytes.' }),
  }),
})

export const RestoreReport = builder.objectRef<Report>('RestoreReport').implement({
  description: 'What a finished restore brought back.',
  fields: (t) => ({
    destination: t.exposeString('destination', { description: 'Where it lies now, in words.' }),
    databases: t.expose('databases', { type: [RestoredDatabase], description: 'The databases that came back.' }),
    files: t.expose('files', {
      type: [RestoredFile],
      description: 'The files that were written; empty for a restore into a server.',
    }),
    rolesCreated: t.exposeStringList('rolesCreated', {
      description:
        'The roles that the server lacked and that were created, without passwords; empty for a restore as files.',
    }),
  }),
})

export const RestoreFilesTarget = builder.inputType('RestoreFilesTargetInput', {
  description: 'Where the files of a restore go; exactly one kind of place.',
  isOneOf: true,
  fields: (t) => ({
    directory: t.string({
      description: "An absolute path on the worker's machine: a directory that is empty or not there yet.",
    }),
  }),
})

mutation('restoreAsFiles', {
  description:
    'Starts a job that writes databases of a recovery point as archives that pg_restore reads, with roles, manifest and instructions; the directory gets all of it or nothing.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point.' }),
    target: t.field({ type: RestoreFilesTarget, required: true, description: 'Where the files go.' }),
    databases: t.stringList({ description: 'The names of the databases to restore; all when left out.' }),
  }),
  payload: { job: { type: Job, description: 'The job that restores.' } },
  refusals: [
    NotFound,
    InvalidInput,
    OperationNotAllowed,
    RecoveryPointBeingRemoved,
    RecoveryPointSuspect,
    RestoreAlreadyRunning,
  ],
  resolve: async ({ recoveryPoint, target, databases }, context) => ({
    job: await restoreAsFiles(context.database, {
      recoveryPointId: idOf('RecoveryPoint', recoveryPoint),
      directory: target.directory ?? '',
      databases: databases ?? null,
      ...asked(context),
    }),
  }),
})

export const DatabaseMappingInput = builder.inputType('DatabaseMappingInput', {
  description: 'One database of a recovery point, and the name that it shall get on the server.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name in the recovery point.' }),
    targetName: t.string({
      required: true,
      description: 'Its name on the server, where no database has that name or one that is empty.',
    }),
  }),
})

mutation('restoreToServer', {
  description:
    'Starts a job that restores databases of a recovery point into a server: only into databases that are new or empty, and visible when all of them are complete.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point.' }),
    server: t.globalID({ required: true, description: 'The id of the registered server to restore into.' }),
    databases: t.field({
      type: [DatabaseMappingInput],
      description: 'The databases to restore, with their new names; all under their own names when left out.',
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
  resolve: async ({ recoveryPoint, server, databases, part, ownership }, context) => ({
    job: await restoreToServer(context.database, {
      recoveryPointId: idOf('RecoveryPoint', recoveryPoint),
      serverId: idOf('PostgresServer', server),
      databases: databases ?? null,
      part: partOf(part),
      ownership: { kind: ownership },
      ...asked(context),
    }),
  }),
})
