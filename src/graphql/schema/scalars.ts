import { badUserInput } from './bad-user-input.ts'
import { builder } from './builder.ts'

const dateTime = /^\d{4}-(\d{2})-(\d{2})T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/i
const duration =
  /^P(?=.)(\d{1,6}Y)?(\d{1,6}M)?(\d{1,6}W)?(\d{1,6}D)?(T(?=.)(\d{1,6}H)?(\d{1,6}M)?(\d{1,6}(\.\d{1,9})?S)?)?$/
const negativeDuration = /^[+-]?P.*-|^-P/
const cursor = /^[A-Za-z0-9_-]{1,2048}$/

builder.scalarType('DateTime', {
  description:
    'A moment, as RFC 3339 writes it; answers are in UTC with milliseconds, such as "2026-03-01T02:30:00.000Z", and any offset is understood.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (value) => value.toISOString(),
  parseValue: (value) => {
    const parts = typeof value === 'string' ? dateTime.exec(value) : null
    if (typeof value !== 'string' || !parts) throw badUserInput('A DateTime is written like "2026-03-01T02:30:00Z".')
    const moment = new Date(value)
    if (Number.isNaN(moment.getTime()) || !isDayOfMonth(value))
      throw badUserInput(`There is no such moment as ${value}.`)
    if (!isWritable(moment)) throw badUserInput('A DateTime lies within the years 0001 to 9999 in UTC.')
    return moment
  },
})

builder.scalarType('Duration', {
  description: 'A length of time, as ISO 8601 writes it, such as "P30D", "P1Y6M" or "PT2.5S".',
  specifiedByURL: 'https://www.iso.org/iso-8601-date-and-time-format.html',
  serialize: (value) => value,
  parseValue: (value) => {
    const text = typeof value === 'string' ? value : ''
    if (negativeDuration.test(text)) throw badUserInput('A Duration is never negative: leave out the minus sign.')
    if (!duration.test(text)) {
      throw badUserInput('A Duration is written like "P30D" (30 days), "P1Y6M" or "PT12H".')
    }
    if (!/[1-9]/.test(text)) throw badUserInput(`A Duration is longer than nothing; ${text} was given.`)
    return text
  },
})

countScalar('ByteCount', 'bytes')
countScalar('RowCount', 'rows')

builder.scalarType('Cursor', {
  description: 'A place in a list or a stream of events; opaque: copy it from an answer of this API.',
  serialize: (value) => value,
  parseValue: (value) => {
    if (typeof value !== 'string' || !cursor.test(value)) throw badUserInput('This cursor is not one of ours.')
    return value
  },
})

textScalar('LocalTime', {
  description: 'A time of day on the clock of a zone, from "00:00" to "23:59", without seconds.',
  shape: /^\d\d:\d\d$/,
  advice: 'A LocalTime is written like "02:30".',
})

textScalar('TimeZone', {
  description: 'A time zone by its name in the IANA database, such as "Europe/Berlin" or "UTC"; never an offset.',
  shape: /^[\w+:/-]{1,100}$/,
  advice: 'A TimeZone is written like "Europe/Berlin".',
})

/** Whether answers can write the moment with a year of four digits, and the database knows that year: it has no year 0. */
export function isWritable(moment: Date): boolean {
  const year = moment.getUTCFullYear()
  return year >= 1 && year <= 9999
}

/** Whether the day exists in its month: the language itself takes "02-30" for the second of March. */
function isDayOfMonth(text: string): boolean {
  const [year, month, day] = text.slice(0, 10).split('-').map(Number)
  const date = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  return date.getUTCFullYear() === year && date.getUTCMonth() + 1 === month && date.getUTCDate() === day
}

function countScalar(name: 'ByteCount' | 'RowCount', counted: string): void {
  builder.scalarType(name, {
    description: `A number of ${counted}: a whole JSON number that may be far beyond the 2^31 of an Int: up to 2^53 - 1, as which anything greater is told.`,
    serialize: (value) => {
      // A sum over years of jobs can come that far: it takes no whole answer with it.
      if (typeof value === 'number' && value > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER
      if (!isCount(value)) throw new Error(`A number of ${counted} is negative, fractional or too great.`)
      return value
    },
    parseValue: (value) => {
      if (!isCount(value)) throw badUserInput(`A ${name} is a whole number of ${counted}, 0 or more.`)
      return value
    },
  })
}

/** Text whose shape alone is looked at here: what it says is for the operation to judge. */
function textScalar(
  name: 'LocalTime' | 'TimeZone',
  { description, shape, advice }: { description: string; shape: RegExp; advice: string },
): void {
  builder.scalarType(name, {
    description,
    serialize: (value) => value,
    parseValue: (value) => {
      if (typeof value !== 'string' || !shape.test(value)) throw badUserInput(advice)
      return value
    },
  })
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
