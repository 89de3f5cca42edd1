import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { usualRetentionLimits } from '../src/policy/check-rules.ts'
import { type Api, at, startApi, textAt } from './kit/api.ts'

// One API for all: each test names its policies anew.
let api: Api
beforeAll(async () => {
  api = await startApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const rules = `version timeZone scheduleDescription defaultRetention retentionRules { tag duration }
  schedule { __typename spreadMinutes ... on HourlySchedule { everyHours minute } ... on DailySchedule { times }
    ... on WeeklySchedule { weekdays times } ... on MonthlySchedule { daysOfMonth onLastDay times } }`
const refusals = '... on InvalidInput { field } ... on NameTaken { takenName }'

const create = (input: Record<string, unknown>, selection = rules) =>
  api.mutate(
    'createPolicy',
    { name: `nightly ${crypto.randomUUID()}`, defaultRetention: 'P30D', ...input },
    `... on CreatePolicyPayload { policy { id ${selection} } } ${refusals}`,
  )

const countPolicies = async () => at(await api.ask('{ policies { totalCount } }'), 'data.policies.totalCount')

describe('a policy', () => {
  test('is one of backups on demand in UTC unless more is said', async () => {
    expect(await create({})).toMatchObject({
      policy: {
        version: 1,
        timeZone: 'UTC',
        schedule: null,
        scheduleDescription: 'No schedule: backups start on demand alone',
        defaultRetention: 'P30D',
        retentionRules: [],
      },
    })
  })

  test.for<[Record<string, unknown>, Record<string, unknown>, string]>([
    [
      { hourly: {} },
      { __typename: 'HourlySchedule', everyHours: 1, minute: 0, spreadMinutes: 10 },
      'Every hour at minute 00, Europe/Berlin',
    ],
    [
      { hourly: { everyHours: 6, minute: 5, spreadMinutes: 60 } },
      { __typename: 'HourlySchedule', everyHours: 6, minute: 5, spreadMinutes: 60 },
      'Every 6 hours from 00:05, Europe/Berlin',
    ],
    [
      { daily: { times: ['14:00', '02:00'] } },
      { __typename: 'DailySchedule', times: ['02:00', '14:00'], spreadMinutes: 10 },
      'Every day at 02:00 and 14:00, Europe/Berlin',
    ],
    [
      { weekly: { weekdays: ['SUNDAY', 'MONDAY'], times: ['02:30'], spreadMinutes: 0 } },
      { __typename: 'WeeklySchedule', weekdays: ['MONDAY', 'SUNDAY'], times: ['02:30'], spreadMinutes: 0 },
      'Every Monday and Sunday at 02:30, Europe/Berlin',
    ],
    [
      { monthly: { daysOfMonth: [15, 1], onLastDay: true, times: ['23:00'] } },
      { __typename: 'MonthlySchedule', daysOfMonth: [1, 15], onLastDay: true, times: ['23:00'], spreadMinutes: 10 },
      'On days 1 and 15 and the last day of every month at 23:00, Europe/Berlin',
    ],
  ])('has the schedule %j', async ([schedule, expected, description]) => {
    const created = await create({ timeZone: 'europe/berlin', schedule })
    expect(created).toMatchObject({
      policy: { timeZone: 'Europe/Berlin', schedule: expected, scheduleDescription: description },
    })
  })

  test('tells its next starts, and its rules in order', async () => {
    const created = await create(
      {
        timeZone: 'Europe/Berlin',
        schedule: { daily: { times: ['02:30'] } },
        retentionRules: [
          { tag: 'YEARLY', duration: 'P10Y' },
          { tag: 'WEEKLY', duration: 'P12W' },
        ],
      },
      `${rules} nextStarts(count: 2) later: nextStarts(count: 1, after: "2026-03-28T12:00:00Z") versions { version createdBy createdAt }`,
    )
    expect(created).toMatchObject({
      policy: {
        retentionRules: [
          { tag: 'WEEKLY', duration: 'P12W' },
          { tag: 'YEARLY', duration: 'P10Y' },
        ],
        nextStarts: ['2026-03-02T01:30:00.000Z', '2026-03-03T01:30:00.000Z'],
        later: ['2026-03-29T01:00:00.000Z'],
        versions: [{ version: 1, createdBy: 'local', createdAt: '2026-03-01T12:00:00.000Z' }],
      },
    })
  })

  const daily = (times: string[], more = {}) => ({ schedule: { daily: { times, ...more } } })
  const weekly = (weekdays: string[], times: string[]) => ({ schedule: { weekly: { weekdays, times } } })
  const monthly = (daysOfMonth: number[], times: string[], onLastDay = false) => ({
    schedule: { monthly: { daysOfMonth, times, onLastDay } },
  })
  const kept = (...pairs: [string, string][]) => ({
    retentionRules: pairs.map(([tag, duration]) => ({ tag, duration })),
  })

  test.for<[string, Record<string, unknown>]>([
    ['name', { name: '' }],
    ['name', { name: 'x'.repeat(10_000) }],
    ['name', { name: 'a\u0000b' }],
    ['timeZone', { timeZone: 'Nowhere/Land' }],
    ['timeZone', { timeZone: '+02:00' }],
    ['timeZone', { timeZone: '-0500' }],
    ['schedule.daily.times', daily([])],
    ['schedule.daily.times[1]', daily(['02:00', '25:00'])],
    ['schedule.daily.times[0]', daily(['24:00'])],
    ['schedule.daily.times[0]', daily(['02:60'])],
    ['schedule.daily.times[1]', daily(['02:00', '02:00'])],
    ['schedule.daily.times[0]', daily(['02:30', '02:00'])],
    ['schedule.daily.times', daily(['00:00', '23:30'])],
    ['schedule.daily.spreadMinutes', daily(['02:00'], { spreadMinutes: 61 })],
    ['schedule.daily.spreadMinutes', daily(['02:00'], { spreadMinutes: -1 })],
    ['schedule.daily.spreadMinutes', daily(['02:00', '03:00'], { spreadMinutes: 60 })],
    ['schedule.hourly.everyHours', { schedule: { hourly: { everyHours: 5 } } }],
    ['schedule.hourly.everyHours', { schedule: { hourly: { everyHours: 0 } } }],
    ['schedule.hourly.minute', { schedule: { hourly: { minute: 60 } } }],
    ['schedule.weekly.weekdays', weekly([], ['02:00'])],
    ['schedule.weekly.weekdays[1]', weekly(['MONDAY', 'MONDAY'], ['02:00'])],
    ['schedule.weekly.times', weekly(['MONDAY', 'TUESDAY'], ['00:00', '23:30'])],
    ['schedule.weekly.times[1]', weekly(['MONDAY'], ['02:00', '99:99'])],
    ['schedule.monthly.daysOfMonth', monthly([], ['02:00'])],
    ['schedule.monthly.daysOfMonth[1]', monthly([1, 29], ['02:00'])],
    ['schedule.monthly.daysOfMonth[0]', monthly([0], ['02:00'])],
    ['schedule.monthly.daysOfMonth[1]', monthly([3, 3], ['02:00'], true)],
    ['schedule.monthly.times', monthly([1], ['00:00', '23:30'], true)],
    ['defaultRetention', { defaultRetention: 'P6D' }],
    ['defaultRetention', { defaultRetention: 'P3654D' }],
    ['defaultRetention', { defaultRetention: 'P999999Y' }],
    ['retentionRules[1].duration', kept(['DAILY', 'P30D'], ['WEEKLY', 'P11Y'])],
    ['retentionRules[1].tag', kept(['DAILY', 'P30D'], ['DAILY', 'P60D'])],
    ['retentionRules[0].duration', kept(['DAILY', 'P29D'])],
    ['retentionRules[0].duration', kept(['YEARLY', 'P100D'], ['MONTHLY', 'P1Y'])],
    // In February a month is shorter than 30 days.
    ['retentionRules[0].duration', kept(['MONTHLY', 'P1M'])],
  ])('is refused, naming %s, for %j', async ([field, input]) => {
    const before = await countPolicies()
    const answer = await create(input)
    expect(answer).toMatchObject({ __typename: 'InvalidInput', field, message: expect.stringMatching(/\.$/) })
    expect(await countPolicies()).toBe(before)
  })

  test.for<[string, Record<string, unknown>]>([
    ['input.timeZone', { timeZone: '' }],
    ['input.defaultRetention', { defaultRetention: 'P0D' }],
    ['input.retentionRules[0].duration', kept(['DAILY', 'PT0S'])],
    ['input.timeZone', { timeZone: 'a\u0000b' }],
    ['input.schedule', { schedule: {} }],
    ['input.schedule', { schedule: { daily: { times: ['02:00'] }, hourly: {} } }],
    ['input.schedule.daily.times[1]', daily(['02:00', 'noon'])],
    ['input.schedule.daily.times', { schedule: { daily: {} } }],
    ['input.schedule.weekly.weekdays[0]', weekly(['SOMEDAY'], ['02:00'])],
    ['input.schedule.monthly.daysOfMonth[0]', { schedule: { monthly: { daysOfMonth: [1.5], times: ['02:00'] } } }],
    ['input.defaultRetention', { defaultRetention: '-P7D' }],
    ['input.defaultRetention', { defaultRetention: '' }],
    ['input.retentionRules[0].tag', kept(['DEFAULT', 'P30D'])],
    ['input.retentionRules[0].duration', kept(['DAILY', 'a week'])],
  ])('does not pass validation, naming %s, for %j', async ([field, input]) => {
    const before = await countPolicies()
    const query = 'mutation ($input: CreatePolicyInput!) { createPolicy(input: $input) { __typename } }'
    const { errors } = await api.ask(query, { input: { name: 'nightly', defaultRetention: 'P30D', ...input } })
    expect(errors?.[0]).toMatchObject({ extensions: { code: 'BAD_USER_INPUT' } })
    const last = field.slice(field.lastIndexOf('.') + 1)
    expect(errors?.[0]?.message).toContain(last)
    expect(await countPolicies()).toBe(before)
  })

  test('keeps recovery points as long as the service is set to allow', async () => {
    Object.assign(api.retentionLimits, { minDays: 1, maxDays: 20_000 })
    expect(
      await create({ defaultRetention: 'P1D', retentionRules: [{ tag: 'YEARLY', duration: 'P50Y' }] }),
    ).toMatchObject({
      __typename: 'CreatePolicyPayload',
    })
    Object.assign(api.retentionLimits, { minDays: 30, maxDays: 60 })
    expect(await create({ name: 'short', defaultRetention: 'P29D' })).toMatchObject({
      field: 'defaultRetention',
      message: 'P29D is out of range: recovery points are kept 30 to 60 days.',
      recommendedActions: ['Choose a duration from P30D to P60D.'],
    })
    Object.assign(api.retentionLimits, usualRetentionLimits)
  })

  test('says which rules contradict each other, and why', async () => {
    const answer = await create({
      retentionRules: [
        { tag: 'WEEKLY', duration: 'P90D' },
        { tag: 'MONTHLY', duration: 'P60D' },
      ],
    })
    expect(textAt(answer, 'message')).toBe(
      'MONTHLY keeps recovery points P60D, which can be less than the P90D of WEEKLY, although MONTHLY goes before WEEKLY.',
    )
  })
})
