import type { FailureCode as Code } from '../../../failure.ts'
import { isFailureCode } from '../../../failure.ts'
import { OperationNotAllowed } from '../../../instance/states.ts'
import { RecoveryPointBeingRemoved } from '../../../recovery-point/recovery-point.ts'
import { InvalidInput, NotFound } from '../../../refusal.ts'
import { ownershipOf } from '../../../restore/ownership.ts'
import { type RestoreToValidate, validateRestore } from '../../../restore/validate.ts'
import type {
  RestoreCheck as Check,
  RestoreCheckKind as Kind,
  RestoreValidationReport as Report,
  RestoreCheckStatus as Status,
} from '../../../restore/validation.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'
import { mutation } from '../../schema/mutation.ts'
import { idOf, Job } from '../declared.ts'
import { ArchiveFormat, RestoreOwnership } from '../enums.ts'
import { asked } from '../fields.ts'
import { FailureCode } from '../job/job-enums.ts'
import { DatabaseMappingInput, mappingsOf } from './restore.ts'
import { filesTargetOf, RestoreFilesTarget } from './restore-files.ts'
import { partOf, RestorePartInput } from './restore-part.ts'

const RestoreCheckKind = enumeration<Kind>('RestoreCheckKind', 'What is looked at before a restore.', {
  POINT_STATE: 'Whether the recovery point may be restored from.',
  PROOF: 'How far, and how long ago, the recovery point has been shown to be good.',
  VAULT: 'Whether the vault can be read, and is the one that it should be.',
  MANIFEST: "Whether the point's manifest and header are what was recorded.",
  ARTIFACTS: 'Whether every file of the point lies in the vault with the size that was written.',
  CONTENTS: 'Whether the point holds what is asked for.',
  TOOLS: 'Whether the worker has a pg_restore that reads the archives.',
  NETWORK_RULES: 'Whether the rules of the storage account let the vault write into it.',
  TARGET_PLACE: 'Whether the directory is one that files may go to.',
  WRITE_PROBE: 'Whether a small file could be written at the target, read back and removed.',
  EXISTING_FILES: 'Whether nothing lies where the files shall go.',
  FREE_SPACE: 'Whether what is restored fits.',
  CONNECTION: 'Whether the server answers, over the TLS that is asked for, and lets the role in.',
  WRITABLE: 'Whether the server takes writes.',
  SERVER_VERSION: 'Whether the server is at least as new as the source was.',
  RIGHTS: 'Whether the role may create the databases, and replace those that are there.',
  LEAST_PRIVILEGE: 'Whether the role may do more than a restore needs.',
  ROLES: 'Whether those that shall own what is restored are there, or can be created, and be acted for.',
  EXTENSIONS: 'Whether the server has the extensions that the databases use, and the role may create them.',
  PRELOADED_LIBRARIES: 'Whether the server loads at its start what extensions need loaded.',
  LOCALE: 'Whether the server can store and sort text as the databases did.',
  TABLESPACES: 'Whether the tablespaces that the databases use are there.',
  TARGET_DATABASE: 'Whether the name of each database is free, or belongs to one that is empty.',
  SESSIONS: 'Whether nobody uses an empty database that is to be replaced.',
  CONNECTIONS: 'Whether the server has as many connections left as a restore opens.',
  LOCKS: 'Whether the server can hold as many locks as counting all tables takes.',
})

const RestoreCheckStatus = enumeration<Status>('RestoreCheckStatus', 'What a check before a restore found.', {
  PASSED: 'Nothing against the restore.',
  WARNING: 'Something that deserves a look; the restore may go well all the same.',
  PROBLEM: 'Something that would make the restore fail.',
  SKIPPED: 'Nothing can be said; the message says why.',
})

const RestoreCheck = builder.objectRef<Check>('RestoreCheck').implement({
  description: 'What one check before a restore found about one subject.',
  fields: (t) => ({
    kind: t.expose('kind', { type: RestoreCheckKind, description: 'What was looked at.' }),
    status: t.expose('status', { type: RestoreCheckStatus, description: 'What was found.' }),
    subject: t.exposeString('subject', {
      description: 'What it is about, such as a file, a database, a role or an extension by its name.',
    }),
    message: t.exposeString('message', { description: 'What was found, in a sentence with the names and values.' }),
    code: t.field({
      type: FailureCode,
      nullable: true,
      description: 'The failure that the restore would end with; null for everything but a problem.',
      resolve: ({ code }): Code | null => (code === null ? null : isFailureCode(code) ? code : 'INTERNAL'),
    }),
    recommendedActions: t.exposeStringList('recommendedActions', {
      description: 'What can be done about it, the most useful first; empty where nothing has to be.',
    }),
  }),
})

const RestorableDatabase = builder.objectRef<Report['databases'][number]>('RestorableDatabase').implement({
  description: 'One database that a restore would bring back.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name in the recovery point.' }),
    targetName: t.exposeString('targetName', { description: 'Its name at the destination.' }),
    tableCount: t.exposeInt('tableCount', { description: 'How many tables it has.' }),
    rowCount: t.expose('rowCount', { type: 'RowCount', description: 'How many rows its tables have together.' }),
    sourceBytes: t.expose('sourceBytes', {
      type: 'ByteCount',
      description: 'Its size on the server when it was dumped.',
    }),
  }),
})

export const RestoreValidationReport = builder.objectRef<Report>('RestoreValidationReport').implement({
  description: 'Everything that was found about a restore before it, and what it would bring back.',
  fields: (t) => ({
    isRestorable: t.exposeBoolean('isRestorable', { description: 'Whether no check found a problem.' }),
    checks: t.expose('checks', {
      type: [RestoreCheck],
      description: 'Every check that was made, those of the recovery point first.',
    }),
    databases: t.expose('databases', {
      type: [RestorableDatabase],
      description: 'The databases that would come back.',
    }),
    bytesNeeded: t.expose('bytesNeeded', {
      type: 'ByteCount',
      nullable: true,
      description:
        'How many bytes the files take, or the databases took at the source; null when the point could not be read.',
    }),
    bytesFree: t.expose('bytesFree', {
      type: 'ByteCount',
      nullable: true,
      description: 'How many bytes can still be written at the target; null where it does not tell.',
    }),
    tools: t.exposeString('tools', {
      nullable: true,
      description: "Which of PostgreSQL's programs would be used, and why; null when none are needed or found.",
    }),
  }),
})

const RestoreFilesToValidate = builder.inputType('RestoreFilesToValidateInput', {
  description: 'A restore as files, as restoreAsFiles is asked for it.',
  fields: (t) => ({
    target: t.field({ type: RestoreFilesTarget, required: true, description: 'Where the files would go.' }),
    format: t.field({
      type: ArchiveFormat,
      required: true,
      defaultValue: 'CUSTOM',
      description: 'The form that the files would have.',
    }),
    databases: t.stringList({
      description: 'The names of the databases to restore; all when left out, or that of the part.',
    }),
    part: t.field({
      type: RestorePartInput,
      description: 'What of one database to restore, in the format PLAIN alone; the databases whole when left out.',
    }),
  }),
})

const RestoreServerToValidate = builder.inputType('RestoreServerToValidateInput', {
  description: 'A restore into a server, as restoreToServer is asked for it.',
  fields: (t) => ({
    server: t.globalID({ required: true, description: 'The id of the registered server to restore into.' }),
    databases: t.field({
      type: [DatabaseMappingInput],
      description:
        'The databases to restore, with their new names; all under their own names when left out, as by restoreToServer.',
    }),
    part: t.field({
      type: RestorePartInput,
      description: 'What of one database to restore alone; the databases are restored whole when left out.',
    }),
    ownership: t.field({
      type: RestoreOwnership,
      required: true,
      defaultValue: 'KEEP',
      description: 'Who would own what is restored.',
    }),
    ownerRole: t.string({ description: 'The role that everything would belong to, for TO_ROLE; otherwise left out.' }),
  }),
})

const RestoreToValidateInput = builder.inputType('RestoreToValidateInput', {
  description: 'The restore that is meant; exactly one kind.',
  isOneOf: true,
  fields: (t) => ({
    files: t.field({ type: RestoreFilesToValidate, description: 'A restore as files.' }),
    server: t.field({ type: RestoreServerToValidate, description: 'A restore into a server.' }),
  }),
})

function targetOf({ files, server }: typeof RestoreToValidateInput.$inferInput): RestoreToValidate {
  if (files) {
    const { target, format, databases, part } = files
    return { kind: 'FILES', target: filesTargetOf(target), format, databases: databases ?? null, part: partOf(part) }
  }
  if (!server) throw new Error('An input of exactly one kind has none.')
  return {
    kind: 'SERVER',
    serverId: idOf('PostgresServer', server.server),
    databases: mappingsOf(server.databases),
    part: partOf(server.part),
    ownership: ownershipOf(server.ownership, server.ownerRole ?? null),
  }
}

mutation('validateRestore', {
  description:
    'Starts a job that looks for everything that would make a restore fail, answers all of it at once in its restoreValidation, and leaves nothing behind.',
  input: (t) => ({
    recoveryPoint: t.globalID({ required: true, description: 'The id of the recovery point; it may be suspect.' }),
    target: t.field({ type: RestoreToValidateInput, required: true, description: 'The restore that is meant.' }),
  }),
  payload: { job: { type: Job, description: 'The job that looks.' } },
  refusals: [NotFound, InvalidInput, OperationNotAllowed, RecoveryPointBeingRemoved],
  resolve: async ({ recoveryPoint, target }, context) => ({
    job: await validateRestore(context.database, {
      recoveryPointId: idOf('RecoveryPoint', recoveryPoint),
      target: targetOf(target),
      ...asked(context),
    }),
  }),
})
