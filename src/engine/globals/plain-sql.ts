import { quoteLiteral } from '../quote.ts'

/** A statement as a comment, with why it was left out. */
export function leftOut(statement: string, why: string): string {
  return `${[`Left out. ${why}`, ...`${statement};`.split('\n')].map((line) => `-- ${line}`).join('\n')}\n`
}

/** Creates a role, and makes it what it was, unless there is one of that name; a statement that may fail then only warns. */
export function roleBlock(role: string, statements: readonly { sql: string; mayFail: boolean }[]): string {
  const body = statements.map(({ sql, mayFail }) => (mayFail ? warning(sql) : `${sql};`)).join('\n')
  return block(`IF NOT ${exists(role)} THEN\n${body}\nEND IF;`)
}

/** Carries a statement out where all of these roles are: those of PostgreSQL itself differ by its version. */
export function onlyIfThere(roles: readonly string[], statement: string): string {
  return block(`IF ${roles.map(exists).join(' AND ')} THEN\n${statement};\nEND IF;`)
}

/** Carries a statement out; a server that does not know its parameter warns, and nothing else. */
export function guarded(statement: string): string {
  return block(warning(statement))
}

function exists(role: string): string {
  return `EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${quoteLiteral(role)})`
}

const conditions = [
  'undefined_object',
  'invalid_name',
  'invalid_parameter_value',
  'cant_change_runtime_param',
  'invalid_catalog_name',
  'insufficient_privilege',
]

/** Unknown parameters, values that are none, databases that are not there (yet), and what only some may set. */
function warning(statement: string): string {
  return `BEGIN\n${statement};\nEXCEPTION WHEN ${conditions.join(' OR ')} THEN\nRAISE WARNING 'left out: %', SQLERRM;\nEND;`
}

function block(body: string): string {
  const tag = freeTag(body)
  return `DO ${tag}\nBEGIN\n${body}\nEND\n${tag};\n`
}

/** A dollar quote that does not occur in the text: a name may hold anything. */
function freeTag(text: string): string {
  for (let number = 0; ; number++) {
    const tag = number === 0 ? '$do$' : `$do${number}$`
    if (!text.includes(tag)) return tag
  }
}
