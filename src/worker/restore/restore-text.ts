import type { Manifest, ManifestArtifact } from '../point/manifest.ts'

/** The RESTORE.md of a restored set: how to load it with PostgreSQL's own programs alone. */
export function restoreText(
  manifest: Manifest,
  written: readonly { artifact: ManifestArtifact; name: string }[],
): string {
  const databases = written.filter(({ artifact }) => artifact.kind === 'DATABASE')
  const lines = databases.map(
    ({ artifact, name }) =>
      `- \`${name}\`: database ${JSON.stringify(artifact.database)}, sha256 \`${artifact.digest.plainSha256}\``,
  )
  return `# How to load these files

They hold server "${manifest.server.name}" (PostgreSQL ${manifest.server.version}) as it was at ${manifest.pointInTime}.
You need \`psql\` and \`pg_restore\` of PostgreSQL ${manifest.tools.major} or newer, and a superuser on the server to load into.

${lines.join('\n')}
- \`globals.sql\`: roles (without passwords) and tablespaces
- \`manifest.json\`: all facts about the backup, among them the number of rows of every table

Say where to load them, in the shell that you will use:

\`\`\`sh
export PGHOST=127.0.0.1 PGPORT=5432 PGUSER=postgres
\`\`\`

Check that the files are whole:

\`\`\`sh
sha256sum --check <<'END'
${written.map(({ artifact, name }) => `${artifact.digest.plainSha256}  ${name}`).join('\n')}
END
\`\`\`

Load the roles first. A role that exists already is reported as an error, which does no harm:

\`\`\`sh
psql --dbname=postgres --file=globals.sql
\`\`\`

Then each database. It is created under its own name and must not exist yet, but for "postgres", which every server has:

\`\`\`sh
${databases.map(commandOf).join('\n')}
\`\`\`

Into a server older than PostgreSQL 17, a pg_restore of 17 or newer meets one setting that it does not know (transaction_timeout):
leave out \`--exit-on-error\` then, and see that this is its only error.

Set passwords for the roles that sign in; backups hold none.
`
}

function commandOf({ artifact, name }: { artifact: ManifestArtifact; name: string }): string {
  const create = artifact.database === 'postgres' ? '' : '--create '
  return `pg_restore ${create}--exit-on-error --dbname=postgres ${name}`
}
