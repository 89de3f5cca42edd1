/** Whether a value from a file that anybody may have written is an object with fields. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether it is a text that a database can keep, as long as names and versions can be. */
export function isText(value: unknown): value is string {
  return isLongText(value) && value.length <= 1000
}

/** The same without an end: for comments and settings. */
export function isLongText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0') && value.isWellFormed()
}

/** Whether it is a whole number from 0. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/** Whether it is a moment within what the catalogue can keep and show. */
export function isTime(value: unknown): boolean {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return time > Date.UTC(1970) && time < Date.UTC(9999)
}

/** Whether it is a list of which each element is so. */
export function isListOf(value: unknown, isSo: (element: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isSo)
}

/** Whether it is left out, or so. */
export function isAbsentOr(value: unknown, isSo: (value: unknown) => boolean): boolean {
  return value === undefined || isSo(value)
}

/** Whether it is null, or so. */
export function isNullOr(value: unknown, isSo: (value: unknown) => boolean): boolean {
  return value === null || isSo(value)
}

/** Whether it is one of these texts. */
export function isOneOf(value: unknown, texts: readonly string[]): boolean {
  return texts.some((text) => text === value)
}
