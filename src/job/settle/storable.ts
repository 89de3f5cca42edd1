import type { JobError } from '../../database/tables/job.ts'

/** The text as the database can keep it: no NUL, no half characters, no longer than asked. */
export function storableText(text: string, mostCharacters: number): string {
  const clean = text.replaceAll('\0', '').toWellFormed()
  return clean.length > mostCharacters ? `${clean.slice(0, mostCharacters - 1).toWellFormed()}…` : clean
}

/** The error with every text of it as the database can keep it. */
export function storableError(error: JobError): JobError {
  return {
    ...error,
    message: storableText(error.message, 2_000),
    recommendedActions: error.recommendedActions.map((action) => storableText(action, 2_000)),
    details: error.details === null ? null : storableText(error.details, 16_000),
  }
}

/** The value as JSON keeps it, with every text in it as the database can keep it. */
export function storableJson(value: unknown): unknown {
  const json = JSON.stringify(value ?? null, (_key, part: unknown) =>
    typeof part === 'string' ? part.replaceAll('\0', '').toWellFormed() : part,
  )
  return JSON.parse(json)
}
