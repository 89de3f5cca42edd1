/** One piece of a statement that has a meaning of its own. */
export interface Token {
  /** WORD: a keyword or plain name, in lower case. NAME: a quoted name, its quotes taken off. Others as they are written. */
  kind: 'WORD' | 'NAME' | 'TEXT' | 'SYMBOL'
  value: string
  /** Where it begins in the statement's text, and where it ends. */
  start: number
  end: number
}

/** One SQL statement, without the semicolon at its end. */
export interface Statement {
  text: string
  tokens: Token[]
}

// In the order in which they are tried at a place: comments first, then what is quoted, then all else.
const pieces =
  /(?<space>\s+|--[^\n]*|\/\*[\s\S]*?\*\/)|(?<text>[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*')|(?<name>"(?:[^"]|"")*")|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<end>;)|(?<symbol>[\s\S])/uy

/**
 * Splits what pg_dumpall writes into its statements, whatever names and texts in it hold: line breaks, semicolons,
 * quotes, comment signs. Comments and psql's own commands (lines that begin with a backslash) are left out. Throws
 * RangeError for a quote that is never closed.
 */
export function splitStatements(sql: string): Statement[] {
  const statements: Statement[] = []
  let tokens: Token[] = []
  let start = 0
  const finish = (end: number) => {
    const [first] = tokens
    if (!first) return
    const text = sql.slice(first.start, end).trimEnd()
    const moved = tokens.map((token) => ({ ...token, start: token.start - first.start, end: token.end - first.start }))
    statements.push({ text, tokens: moved })
    tokens = []
  }
  while (start < sql.length) {
    if (tokens.length === 0 && sql[start] === '\\') {
      const lineEnd = sql.indexOf('\n', start)
      start = lineEnd === -1 ? sql.length : lineEnd
      continue
    }
    pieces.lastIndex = start
    const { groups = {}, 0: piece = '' } = pieces.exec(sql) ?? {}
    const end = start + piece.length
    if (groups.end !== undefined) finish(start)
    else if (groups.space === undefined) tokens.push({ ...tokenOf(groups, start), start, end })
    start = end
  }
  finish(sql.length)
  return statements
}

function tokenOf(
  { text, name, word, symbol }: Record<string, string | undefined>,
  at: number,
): Pick<Token, 'kind' | 'value'> {
  if (text !== undefined) return { kind: 'TEXT', value: text }
  if (name !== undefined) return { kind: 'NAME', value: name.slice(1, -1).replaceAll('""', '"') }
  if (word !== undefined) return { kind: 'WORD', value: word.toLowerCase() }
  if (symbol === "'" || symbol === '"') throw new RangeError(`A quote at character ${at} is never closed.`)
  return { kind: 'SYMBOL', value: symbol ?? '' }
}
