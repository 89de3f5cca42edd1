import type { Manifest } from './manifest.ts'

/**
 * Whether all that the catalogue remembers of a point's contents is told by a manifest, in the form that it is remembered
 * in. Only for one that is not known by its digest: of such a point the list is left out, and the point is as good.
 */
export function isListable({ databases, roles }: Manifest): boolean {
  return databases.every(isListableDatabase) && roles.every(isListableRole)
}

function isListableDatabase({ report, tables, schemas = [], partitionedTables = [] }: Manifest['databases'][number]) {
  const { ownerName, encoding, localeProvider, collate, ctype, locale, extensions } = report
  const texts = [ownerName, encoding, localeProvider, collate, ctype].every(isText)
  if (!texts || !(locale === null || isText(locale))) return false
  return (
    areObjects(extensions, ['name', 'version', 'schema']) &&
    areObjects(tables, ['schema', 'name']) &&
    areObjects(schemas, ['name', 'ownerName']) &&
    areObjects(partitionedTables, ['schema', 'name'])
  )
}

function isListableRole(role: unknown): boolean {
  if (!areObjects([role], ['name'])) return false
  const memberships = new Map(Object.entries(Object(role))).get('memberships')
  return areObjects(memberships, ['role'])
}

function areObjects(values: unknown, texts: readonly string[]): boolean {
  if (!Array.isArray(values)) return false
  return values.every((value: unknown) => {
    const fields = new Map<string, unknown>(Object.entries(Object(value)))
    return texts.every((name) => isText(fields.get(name)))
  })
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= 10_000 && !value.includes('\0') && value.isWellFormed()
}
