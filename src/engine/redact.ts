const capBytes = 16 * 1024
// Taking out every "a" would garble the text, and tell by its holes what was taken out.
const shortestSecret = 4

/**
 * What a program or server said, fit to be shown: without the given secrets, without the statements and rows that
 * PostgreSQL quotes (they hold users' data, and passwords of user mappings), at most 16 KiB, the end kept.
 */
export function redact(text: string, secrets: readonly string[]): string {
  let shown = text.replaceAll('\0', '')
  for (const secret of secrets) if (secret.length >= shortestSecret) shown = shown.replaceAll(secret, '[secret]')
  shown = shown
    .replace(/^(.*Command was:).*(?:\n(?!pg_\w+: ).*)*/gm, '$1 [left out]')
    .replace(/(CONTEXT: {2}COPY [^\n]*? line \d+(?:, column [^\n:]*)?): .*/g, '$1: [left out]')
    .replace(/(Failing row contains ).*/g, '$1[left out].')
    .replace(/(Key \(.*?\)=).*/g, '$1[left out].')
  return shown.length > capBytes ? `[…]${shown.slice(-capBytes)}` : shown
}
