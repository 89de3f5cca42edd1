const capBytes = 16 * 1024
// Taking out every "a" would garble the text, and tell by its holes what was taken out.
const shortestSecret = 4

// A value may go over lines: it ends where PostgreSQL, or the program, begins to say something else.
const rest = String.raw`[\s\S]*?(?=\n(?:ERROR|DETAIL|HINT|CONTEXT|QUERY|STATEMENT|LOCATION|WARNING): |\nCommand was:|\npg_\w+: |$)`

/** What stands before a value of a row. */
const beforeValues = [
  String.raw`CONTEXT: {2}COPY [^\n]*? line \d+(?:, column [^\n:]*)?: `,
  String.raw`CONTEXT: {2}JSON data, line \d+: `,
  'Failing row contains ',
  String.raw`Partition key of the failing row contains \(.*?\) = `,
  String.raw`Key \(.*?\)=`,
  String.raw`invalid input (?:syntax for type|value for enum) [^\n]*?: (?=")`,
  String.raw`malformed [^\n:]* literal: (?=")`,
  'date/time field value out of range: ',
  'Token (?=")',
].map((before) => new RegExp(`(${before})${rest}`, 'g'))

/**
 * What a program or server said, fit to be shown: without the given secrets, without the statements and rows that
 * PostgreSQL quotes (they hold users' data, and passwords of user mappings), at most 16 KiB, the end kept.
 */
export function redact(text: string, secrets: readonly string[]): string {
  let shown = text.replaceAll('\0', '')
  for (const secret of secrets) if (secret.length >= shortestSecret) shown = shown.replaceAll(secret, '[secret]')
  shown = shown
    .replace(/^(.*Command was:).*(?:\n(?!pg_\w+: ).*)*/gm, '$1 [left out]')
    .replace(/\b(value )".*?"(?= is out of range for type )/gs, '$1[left out]')
  for (const before of beforeValues) shown = shown.replace(before, '$1[left out]')
  return shown.length > capBytes ? `[…]${shown.slice(-capBytes)}` : shown
}
