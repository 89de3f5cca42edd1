import type { FilesRequest } from '../../../restore/restore.ts'
import type { Manifest } from '../../point/manifest.ts'
import { globalsName } from './file-names.ts'
import type { SetFile } from './set-manifest.ts'

/** The RESTORE.md of a restored set: how to load it with PostgreSQL's own programs alone. */
export function restoreText(
  manifest: Manifest,
  { request, files }: { request: FilesRequest; files: readonly SetFile[] },
): string {
  const { tools, server, pointInTime } = manifest
  const isPlain = request.format === 'PLAIN'
  return `# How to load these files

They hold ${request.part ? 'a part of one database' : 'databases'} of server "${inLine(server.name)}" (PostgreSQL ${server.version}) as of ${pointInTime}.
You need \`psql\`${isPlain ? '' : ' and `pg_restore`'} of PostgreSQL ${tools.major} or newer, of a current minor version, and a superuser on a server of
PostgreSQL ${Math.floor(server.versionNumber / 10_000)} or newer.

${files.map(lineOf).join('\n')}
- \`manifest.json\`: all facts about the backup, among them the size and sha256 of these files and the rows of every table;
  it was written last, so that where it is, all files are

Say where to load them, in the shell that you will use, in the folder of these files:

\`\`\`sh
export PGHOST=127.0.0.1 PGPORT=5432 PGUSER=postgres
\`\`\`

Check that the files are whole:

\`\`\`sh
sha256sum --check <<'END'
${files.map(({ file, sha256 }) => `${sha256}  ${file}`).join('\n')}
END
\`\`\`

Load the roles first. Those that the server has already stay as they are; what it does not know is told as a warning:

\`\`\`sh
psql --no-psqlrc --set=ON_ERROR_STOP=1 --dbname=postgres --file=${globalsName}
\`\`\`

${isPlain ? plainText(request, files) : customText(manifest, files)}
Set passwords for the roles that sign in: backups hold none. What \`${globalsName}\` leaves out (roles of managed services,
tablespaces) stands in it as comments, with the reasons.${tablespacesText(manifest, request)}
`
}

function customText(manifest: Manifest, files: readonly SetFile[]): string {
  const databases = files.filter(({ kind }) => kind === 'DATABASE')
  const commands = databases.map(({ file, database }) => {
    const create = database === 'postgres' ? '' : '--create '
    const tablespaces = usesTablespaces(manifest, database) ? '--no-tablespaces ' : ''
    return `pg_restore ${create}--exit-on-error ${tablespaces}--dbname=postgres ${file}`
  })
  return `Then each database. It is created under its own name and must not exist yet, but for "postgres", which every server has:

\`\`\`sh
${commands.join('\n')}
\`\`\`

Objects of roles that \`${globalsName}\` leaves out stop pg_restore: give it \`--no-owner --no-privileges\` then.
Into a server older than PostgreSQL 17, a pg_restore of 17 or newer meets one setting that it does not know (transaction_timeout):
leave out \`--exit-on-error\` then, and see that this is its only error.
`
}

function plainText({ part }: FilesRequest, files: readonly SetFile[]): string {
  const commands = files.flatMap(({ kind, file, database }) => {
    const psql = 'psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1'
    if (kind === 'CREATE') return [`${psql} --dbname=postgres --file=${file}`]
    // As a variable and not as an option: there a name that holds "=" would be taken for an address.
    return kind === 'DATABASE'
      ? [`PGDATABASE=${shellQuoted(database ?? '')} ${psql} --output=/dev/null --file=${file}`]
      : []
  })
  const what = part
    ? 'Then the part, into a new database of the name that it was taken from; leave out the first line, and name another database, to load it elsewhere:'
    : 'Then each database. It is created under its own name and must not exist yet, but for "postgres", which every server has:'
  return `${what}

\`\`\`sh
${commands.join('\n')}
\`\`\`

A role of a managed service that owns something stops psql: create a role of that name first.
`
}

function tablespacesText(manifest: Manifest, { databases }: FilesRequest): string {
  const isUsed = databases.some((database) => usesTablespaces(manifest, database))
  return isUsed ? '\nEverything goes to the default tablespace.' : ''
}

function usesTablespaces({ databases }: Manifest, name: string | null): boolean {
  return databases.some(({ report }) => report.name === name && report.tablespaces.length > 0)
}

function lineOf({ file, kind, database }: SetFile): string {
  const of = inLine(JSON.stringify(database))
  const what = {
    DATABASE: `database ${of}`,
    CREATE: `the statements that create database ${of}`,
    GLOBALS: 'roles (without passwords) and tablespaces',
    INSTRUCTIONS: 'this text',
  }
  return `- \`${file}\`: ${what[kind]}`
}

/** A name within a line of the text: nothing in it can begin a block of commands. */
function inLine(text: string): string {
  return text.replace(/[`\p{Cc}\p{Cf}]/gu, '�')
}

/** A text as one word of the shell, whatever it holds. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
