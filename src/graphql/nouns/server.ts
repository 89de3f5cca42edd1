import { InvalidInput, NameTaken, NotFound } from '../../refusal.ts'
import { countServers, pageServers } from '../../server/find.ts'
import { registerServer } from '../../server/register.ts'
import { removeServer, ServerBeingRestoredInto, ServerInUse } from '../../server/remove.ts'
import { updateServerAddress } from '../../server/update-address.ts'
import { updateServerCredentials } from '../../server/update-credentials.ts'
import { builder } from '../schema/builder.ts'
import { encodeNodeId } from '../schema/ids.ts'
import { mutation } from '../schema/mutation.ts'
import { nodeQuery } from '../schema/node.ts'
import { pageArgs, pageRequest } from '../schema/paging.ts'
import { BackupInstanceConnection, idOf, PostgresServer, PostgresServerConnection } from './declared.ts'
import { TlsMode } from './enums.ts'
import { asked, instancesField, versionText } from './fields.ts'
import { dryRunField } from './instance/lifecycle.ts'

PostgresServer.implement({
  description: 'A registered PostgreSQL server: where it is and how Holdfast signs in to it.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name that was given to the server; no other server has it.' }),
    host: t.exposeString('host', { description: 'The host name or address that it listens on.' }),
    port: t.exposeInt('port', { description: 'The port that it listens on.' }),
    username: t.exposeString('username', {
      nullable: true,
      description:
        'The role that Holdfast signs in with; null when none is set, for the server was imported with a vault.',
    }),
    passwordSetAt: t.expose('passwordSetAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When its password was last set; the password itself is never shown. Null when none is set, as for the role.',
    }),
    maintenanceDatabase: t.exposeString('maintenanceDatabase', {
      description: 'The database that is connected to for looking at the whole server.',
    }),
    tlsMode: t.expose('tlsMode', { type: TlsMode, description: 'How connections to it are secured.' }),
    hasCaCertificate: t.boolean({
      description: 'Whether certificate authorities of its own are registered for it.',
      resolve: (server) => server.caCertificate !== null,
    }),
    version: t.string({
      nullable: true,
      description: 'The version that it had when it was last looked at, such as "15.6"; null before the first look.',
      resolve: ({ versionNumber }) => (versionNumber === null ? null : versionText(versionNumber)),
    }),
    versionNumber: t.exposeInt('versionNumber', {
      nullable: true,
      description: 'The same version as its server_version_num, such as 150006; null before the first look.',
    }),
    inspectedAt: t.expose('inspectedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a job last looked at it; null before the first look.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was registered.' }),
    backupInstances: t.field({
      type: BackupInstanceConnection,
      description: 'The backup instances that protect it, one for each vault, newest first.',
      args: pageArgs(t),
      resolve: (server, args, context) => instancesField('server', server, args, context),
    }),
  }),
})

nodeQuery('server', PostgresServer, 'A registered server by its id; null when there is none.')

builder.queryField('servers', (t) =>
  t.field({
    type: PostgresServerConnection,
    description: 'All registered servers, newest first.',
    args: pageArgs(t),
    resolve: async (_root, args, { database }) => ({
      page: await pageServers(database, { page: pageRequest(PostgresServer, args) }),
      count: () => countServers(database),
    }),
  }),
)

mutation('registerServer', {
  description:
    'Registers a PostgreSQL server. Nothing is connected to yet: configuring protection checks that it can be reached and read.',
  input: (t) => ({
    name: t.string({ required: true, description: 'A name of 1 to 200 characters that no other server has.' }),
    host: t.string({ required: true, description: 'One host name or address; never a connection string.' }),
    port: t.int({ required: true, defaultValue: 5432, description: 'The port that it listens on.' }),
    username: t.string({ required: true, description: 'The role to sign in with.' }),
    password: t.string({ required: true, description: 'Its password; kept sealed and never shown.' }),
    maintenanceDatabase: t.string({
      required: true,
      defaultValue: 'postgres',
      description: 'The database to connect to for looking at the whole server.',
    }),
    tlsMode: t.field({
      type: TlsMode,
      required: true,
      defaultValue: 'VERIFY_FULL',
      description: 'How connections to it are secured.',
    }),
    caCertificate: t.string({
      description:
        'Certificates in PEM form that VERIFY_CA and VERIFY_FULL trust; the usual authorities when left out.',
    }),
  }),
  payload: { server: { type: PostgresServer, description: 'The registered server.' } },
  refusals: [InvalidInput, NameTaken],
  resolve: async (input, context) => ({
    server: await registerServer(context.database, {
      ...input,
      caCertificate: input.caCertificate ?? null,
      secrets: context.secrets,
      ...asked(context),
    }),
  }),
})

mutation('updateServerCredentials', {
  description:
    'Replaces the role and password that Holdfast signs in with; jobs that start from now on use them. For a server that was imported with a vault, they are set for the first time.',
  input: (t) => ({
    server: t.globalID({ required: true, description: 'The id of the server.' }),
    username: t.string({ required: true, description: 'The role to sign in with.' }),
    password: t.string({ required: true, description: 'Its password; kept sealed and never shown.' }),
    tlsMode: t.field({
      type: TlsMode,
      description: 'How connections to it are secured from now on; as before when left out.',
    }),
    caCertificate: t.string({
      description:
        'Certificates in PEM form that VERIFY_CA and VERIFY_FULL trust; as before when left out, null for the usual authorities.',
    }),
  }),
  payload: { server: { type: PostgresServer, description: 'The server with its new credentials.' } },
  refusals: [InvalidInput, NotFound],
  resolve: async ({ server, username, password, tlsMode, caCertificate }, context) => ({
    server: await updateServerCredentials(context.database, {
      serverId: idOf('PostgresServer', server),
      username,
      password,
      ...(tlsMode != null && { tlsMode }),
      ...(caCertificate !== undefined && { caCertificate }),
      secrets: context.secrets,
      ...asked(context),
    }),
  }),
})

mutation('updateServerAddress', {
  description:
    'Moves a registered server to where it is now, as after a failover or when an imported vault knows it under an old name; jobs that start from now on connect there. Nothing is connected to yet: ask validateForBackup then.',
  input: (t) => ({
    server: t.globalID({ required: true, description: 'The id of the server.' }),
    host: t.string({ required: true, description: 'One host name or address; never a connection string.' }),
    port: t.int({ description: 'The port that it listens on from now on; as before when left out.' }),
    maintenanceDatabase: t.string({
      description: 'The database to connect to for looking at the whole server; as before when left out.',
    }),
    tlsMode: t.field({
      type: TlsMode,
      description: 'How connections to it are secured from now on; as before when left out.',
    }),
    caCertificate: t.string({
      description:
        'Certificates in PEM form that VERIFY_CA and VERIFY_FULL trust; as before when left out, null for the usual authorities.',
    }),
    password: t.string({
      description:
        'The password that its role has there: typed again, for it is sent to no place that it was not given for. Left out only where none is set.',
    }),
    dryRun: t.boolean(dryRunField),
  }),
  payload: { server: { type: PostgresServer, description: 'The server as it is then; on a dry run, as it would be.' } },
  refusals: [InvalidInput, NotFound, ServerBeingRestoredInto],
  resolve: async ({ server, host, port, maintenanceDatabase, tlsMode, caCertificate, password, dryRun }, context) => ({
    server: await updateServerAddress(context.database, {
      serverId: idOf('PostgresServer', server),
      host,
      ...(port != null && { port }),
      ...(maintenanceDatabase != null && { maintenanceDatabase }),
      ...(tlsMode != null && { tlsMode }),
      ...(caCertificate !== undefined && { caCertificate }),
      password: password ?? null,
      secrets: context.secrets,
      dryRun,
      ...asked(context),
    }),
  }),
})

mutation('removeServer', {
  description: 'Forgets a server that no backup instance protects; the server itself is not touched.',
  input: (t) => ({
    server: t.globalID({ required: true, description: 'The id of the server.' }),
  }),
  payload: {
    removedServerId: { type: 'ID', description: 'The id that the server had.' },
    name: { type: 'String', description: 'The name that the server had.' },
  },
  refusals: [NotFound, ServerInUse, ServerBeingRestoredInto],
  resolve: async (input, context) => {
    const serverId = idOf('PostgresServer', input.server)
    const { id, name } = await removeServer(context.database, { serverId, ...asked(context) })
    return { removedServerId: encodeNodeId('PostgresServer', id), name }
  },
})
