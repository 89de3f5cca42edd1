import type { RestorePart, RestoreRequest } from '../../../restore/restore.ts'
import type { RestoreCheck } from '../../../restore/validation.ts'
import { artifactOf, type Manifest } from '../../point/manifest.ts'
import { passed, problem, warning } from './check.ts'

/** Whether the manifest knows the databases that are asked for, and what of them is. */
export function checkContents(manifest: Manifest, request: RestoreRequest): RestoreCheck[] {
  const names = request.databases.map((each) => (typeof each === 'string' ? each : each.name))
  const checks = names.map((name) =>
    artifactOf(manifest, name) && manifest.databases.some(({ report }) => report.name === name)
      ? passed('CONTENTS', name, `The recovery point holds database ${JSON.stringify(name)}.`)
      : problem('CONTENTS', 'GONE', name, `The recovery point holds no database ${JSON.stringify(name)}.`),
  )
  return request.part ? [...checks, ...checkPart(manifest, request.part)] : checks
}

// The manifest lists what has rows of its own: a partitioned table has none, a view has none, and a schema may hold no table.
function checkPart(manifest: Manifest, { database, schemas, tables }: RestorePart): RestoreCheck[] {
  const listed = manifest.databases.find(({ report }) => report.name === database)?.tables ?? []
  const unknownSchemas = schemas
    .filter((schema) => !listed.some((table) => table.schema === schema))
    .map((schema) => warning('CONTENTS', schema, `The manifest lists no table of schema ${JSON.stringify(schema)}.`))
  const unknownTables = tables
    .filter(({ schema, name }) => !listed.some((table) => table.schema === schema && table.name === name))
    .map(({ schema, name }) => {
      const subject = `${schema}.${name}`
      return warning('CONTENTS', subject, `The manifest lists no rows of ${JSON.stringify(subject)}: is it a table?`)
    })
  return [...unknownSchemas, ...unknownTables]
}
