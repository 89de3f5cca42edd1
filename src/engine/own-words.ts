/**
 * What a program and the server behind it said, without the statements and rows that they quote: whatever is in those must
 * not decide what a failure is taken for.
 */
export function withoutData(text: string): string {
  return text.replace(/^(?:.*Command was:|DETAIL: |HINT: |CONTEXT: ).*(?:\n(?!pg_\w+: ).*)*\n?/gm, '')
}

/** As withoutData, and without the names of what it is about. */
export function ownWords(text: string): string {
  return withoutData(text)
    .replace(/^pg_restore: .*TOC entry .*$/gm, '')
    .replace(/"(?:[^"]|"")*"/g, '""')
}
