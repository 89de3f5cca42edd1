import { describe, expect, it } from 'vitest'
import type { Schedule } from '../src/policy/policy.ts'
import { lastStart, nextStart, overdueAfter, spreadStart, startsBetween } from '../src/policy/schedule.ts'

const at = (time: string) => new Date(time)
const spread = { spreadMinutes: 10 }
const daily = (...times: string[]): Schedule => ({ kind: 'DAILY', times, ...spread })
const hourly = (everyHours: number, minute = 0): Schedule => ({ kind: 'HOURLY', everyHours, minute, ...spread })

/** The starts between two moments, as UTC times to the minute. */
function starts(timeZone: string, schedule: Schedule, after: string, upTo: string): string[] {
  const found = startsBetween({ timeZone, schedule }, { after: at(after), upTo: at(upTo), atMost: 100 })
  return found.map((start) => start.toISOString().replace(':00.000Z', ''))
}

describe('a schedule', () => {
  it.for<[string, Schedule, string, string, string[]]>([
    [
      'keeps local time when the clock changes',
      daily('14:00'),
      '2026-03-28T00:00Z',
      '2026-03-30T00:00Z',
      ['2026-03-28T13:00', '2026-03-29T12:00'],
    ],
    [
      'starts at the next valid minute of a time that the clock skips',
      daily('02:30'),
      '2026-03-28T00:00Z',
      '2026-03-30T23:00Z',
      ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
    ],
    [
      'starts once at a time that the clock shows twice, the earlier one',
      daily('02:30'),
      '2026-10-24T12:00Z',
      '2026-10-26T12:00Z',
      ['2026-10-25T00:30', '2026-10-26T01:30'],
    ],
    [
      'makes one start of two that fall on the same moment',
      daily('02:15', '02:30', '03:00'),
      '2026-03-28T12:00Z',
      '2026-03-29T12:00Z',
      ['2026-03-29T01:00'],
    ],
    [
      'follows the real hours when it is hourly, the repeated one too',
      hourly(1, 15),
      '2026-10-24T23:00Z',
      '2026-10-25T03:00Z',
      ['2026-10-24T23:15', '2026-10-25T00:15', '2026-10-25T01:15', '2026-10-25T02:15'],
    ],
    [
      'leaves out no real hour when the clock skips one',
      hourly(1, 15),
      '2026-03-28T23:30Z',
      '2026-03-29T03:00Z',
      ['2026-03-29T00:15', '2026-03-29T01:15', '2026-03-29T02:15'],
    ],
    [
      'starts every few hours of the local day, each hour once',
      hourly(6, 30),
      '2026-10-24T22:00Z',
      '2026-10-25T23:00Z',
      ['2026-10-24T22:30', '2026-10-25T05:30', '2026-10-25T11:30', '2026-10-25T17:30'],
    ],
    [
      'starts on the weekdays that it names',
      { kind: 'WEEKLY', weekdays: ['SUNDAY', 'WEDNESDAY'], times: ['22:00', '01:00'], ...spread },
      '2026-06-01T00:00Z',
      '2026-06-08T00:00Z',
      ['2026-06-02T23:00', '2026-06-03T20:00', '2026-06-06T23:00', '2026-06-07T20:00'],
    ],
    [
      'starts on the days of the month and on its last one',
      { kind: 'MONTHLY', daysOfMonth: [1, 28], onLastDay: true, times: ['12:00'], ...spread },
      '2028-02-02T00:00Z',
      '2028-04-29T00:00Z',
      [
        '2028-02-28T11:00',
        '2028-02-29T11:00',
        '2028-03-01T11:00',
        '2028-03-28T10:00',
        '2028-03-31T10:00',
        '2028-04-01T10:00',
        '2028-04-28T10:00',
      ],
    ],
  ])('%s', ([_title, schedule, after, upTo, expected]) => {
    expect(starts('Europe/Berlin', schedule, after, upTo)).toEqual(expected)
  })

  it('starts at the next valid minute of a day that a country left out', () => {
    expect(starts('Pacific/Apia', daily('02:00', '14:00'), '2011-12-29T12:00Z', '2011-12-31T11:00Z')).toEqual([
      '2011-12-30T00:00', // 29 December, 14:00
      '2011-12-30T10:00', // both times of 30 December, which there never was
      '2011-12-30T12:00', // 31 December, 02:00
      '2011-12-31T00:00',
    ])
  })

  it('starts at half past the hour in a zone that is 45 minutes off, and where the clock moves by 30', () => {
    expect(starts('Asia/Kathmandu', hourly(1, 30), '2026-05-05T00:00Z', '2026-05-05T02:00Z')).toEqual([
      '2026-05-05T00:45',
      '2026-05-05T01:45',
    ])
    expect(starts('Australia/Lord_Howe', daily('02:10'), '2026-10-03T00:00Z', '2026-10-05T00:00Z')).toEqual([
      '2026-10-03T15:30', // 4 October: the clock goes from 02:00 to 02:30
      '2026-10-04T15:10',
    ])
  })

  it('starts at midnight of a day that has none', () => {
    expect(starts('America/Santiago', daily('00:00'), '2026-09-05T05:00Z', '2026-09-07T05:00Z')).toEqual([
      '2026-09-06T04:00',
      '2026-09-07T03:00',
    ])
  })

  it('never starts when there is none, and none is overdue', () => {
    const none = { timeZone: 'UTC', schedule: null }
    expect(nextStart(none, at('2026-01-01T00:00Z'))).toBeUndefined()
    expect(lastStart(none, at('2026-01-01T00:00Z'))).toBeUndefined()
    expect(overdueAfter(none, at('2026-01-01T00:00Z'))).toBeNull()
  })

  it('finds the last start at a moment itself', () => {
    const rules = { timeZone: 'Europe/Berlin', schedule: daily('02:00', '14:00') }
    expect(lastStart(rules, at('2026-01-05T13:00Z'))).toEqual(at('2026-01-05T13:00Z'))
    expect(lastStart(rules, at('2026-01-05T12:59:59.999Z'))).toEqual(at('2026-01-05T01:00Z'))
  })

  it('spreads starts over the minutes after the nominal time', () => {
    const nominal = at('2026-01-05T13:00Z')
    expect(spreadStart(nominal, 10, 0)).toEqual(nominal)
    expect(spreadStart(nominal, 10, 0.5)).toEqual(at('2026-01-05T13:05Z'))
    expect(spreadStart(nominal, 10, 0.999999999).getTime()).toBeLessThan(at('2026-01-05T13:10Z').getTime())
  })

  it.for<[string, Schedule, string]>([
    ['half of the time to the start after it', daily('02:00', '14:00'), '2026-01-05T20:10Z'],
    ['an hour at least', hourly(1), '2026-01-05T05:10Z'],
    [
      'a day at most',
      { kind: 'MONTHLY', daysOfMonth: [1], onLastDay: false, times: ['00:00'], ...spread },
      '2026-02-02T00:10Z',
    ],
  ])('calls an instance overdue when start, spread and %s have passed', ([_title, schedule, expected]) => {
    expect(overdueAfter({ timeZone: 'UTC', schedule }, at('2026-01-05T03:00Z'))).toEqual(at(expected))
  })
})
