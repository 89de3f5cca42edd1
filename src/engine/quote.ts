/** A name as an SQL identifier, whatever characters it holds. Throws on NUL, which no name can hold. */
export function quoteIdentifier(name: string): string {
  refuseNul(name)
  return `"${name.replaceAll('"', '""')}"`
}

/** A schema-qualified name as SQL. */
export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

/** A text as an SQL literal that means the same whatever standard_conforming_strings is. Throws on NUL. */
export function quoteLiteral(text: string): string {
  refuseNul(text)
  const quoted = text.replaceAll("'", "''")
  return quoted.includes('\\') ? ` E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`
}

function refuseNul(text: string): void {
  if (text.includes('\0')) throw new RangeError('A NUL character cannot be part of SQL.')
}
