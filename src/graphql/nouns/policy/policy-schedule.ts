import type { AskedSchedule } from '../../../policy/check-schedule.ts'
import type { Schedule as ScheduleRow, Weekday as WeekdayName } from '../../../policy/policy.ts'
import { builder } from '../../schema/builder.ts'
import { enumeration } from '../../schema/enumeration.ts'

export const Weekday = enumeration<WeekdayName>('Weekday', 'A day of the week.', {
  MONDAY: 'The first day of a week.',
  TUESDAY: 'The day after Monday.',
  WEDNESDAY: 'The day after Tuesday.',
  THURSDAY: 'The day after Wednesday.',
  FRIDAY: 'The day after Thursday.',
  SATURDAY: 'The day after Friday.',
  SUNDAY: 'The last day of a week.',
})

const typeNames: Record<ScheduleRow['kind'], string> = {
  HOURLY: 'HourlySchedule',
  DAILY: 'DailySchedule',
  WEEKLY: 'WeeklySchedule',
  MONTHLY: 'MonthlySchedule',
}

/** Each kind of schedule is a type that implements it. */
export const Schedule = builder.interfaceRef<ScheduleRow>('Schedule').implement({
  description: 'When backups start by themselves, in local times of the time zone of the policy.',
  resolveType: ({ kind }) => typeNames[kind],
  fields: (t) => ({
    spreadMinutes: t.exposeInt('spreadMinutes', {
      description:
        'Each backup instance starts at its own moment within so many minutes after the time, so that not all start at once.',
    }),
  }),
})

const timesField = 'The local times at which backups start on such a day.'

builder.objectRef<Extract<ScheduleRow, { kind: 'HOURLY' }>>(typeNames.HOURLY).implement({
  description: 'Backups start every hour, or every few hours from midnight on.',
  interfaces: [Schedule],
  fields: (t) => ({
    everyHours: t.exposeInt('everyHours', {
      description: 'How many hours lie between two starts; every hour is every real hour when the clock changes.',
    }),
    minute: t.exposeInt('minute', { description: 'The minute of the hour, from 0 to 59.' }),
  }),
})

builder.objectRef<Extract<ScheduleRow, { kind: 'DAILY' }>>(typeNames.DAILY).implement({
  description: 'Backups start every day.',
  interfaces: [Schedule],
  fields: (t) => ({ times: t.expose('times', { type: ['LocalTime'], description: timesField }) }),
})

builder.objectRef<Extract<ScheduleRow, { kind: 'WEEKLY' }>>(typeNames.WEEKLY).implement({
  description: 'Backups start on some days of the week.',
  interfaces: [Schedule],
  fields: (t) => ({
    weekdays: t.expose('weekdays', { type: [Weekday], description: 'The days, from Monday on.' }),
    times: t.expose('times', { type: ['LocalTime'], description: timesField }),
  }),
})

builder.objectRef<Extract<ScheduleRow, { kind: 'MONTHLY' }>>(typeNames.MONTHLY).implement({
  description: 'Backups start on some days of the month.',
  interfaces: [Schedule],
  fields: (t) => ({
    daysOfMonth: t.exposeIntList('daysOfMonth', { description: 'The days, from 1 to 28.' }),
    onLastDay: t.exposeBoolean('onLastDay', {
      description: 'Whether backups start on the last day of each month too.',
    }),
    times: t.expose('times', { type: ['LocalTime'], description: timesField }),
  }),
})

const spreadInput =
  'Over how many minutes after the time the backup instances spread their starts: 0 to 60, and less than lies between two starts; 10 when left out.'
const timesInput = 'The local times at which backups start on such a day, each once and at least an hour apart.'

const HourlyInput = builder.inputType('HourlyScheduleInput', {
  description: 'Backups that start every hour, or every few hours from midnight on.',
  fields: (t) => ({
    everyHours: t.int({
      required: true,
      defaultValue: 1,
      description: 'How many hours lie between two starts: 1, 2, 3, 4, 6, 8, 12 or 24.',
    }),
    minute: t.int({ required: true, defaultValue: 0, description: 'The minute of the hour, from 0 to 59.' }),
    spreadMinutes: t.int({ description: spreadInput }),
  }),
})

const DailyInput = builder.inputType('DailyScheduleInput', {
  description: 'Backups that start every day.',
  fields: (t) => ({
    times: t.field({ type: ['LocalTime'], required: true, description: timesInput }),
    spreadMinutes: t.int({ description: spreadInput }),
  }),
})

const WeeklyInput = builder.inputType('WeeklyScheduleInput', {
  description: 'Backups that start on some days of the week.',
  fields: (t) => ({
    weekdays: t.field({ type: [Weekday], required: true, description: 'The days, each once.' }),
    times: t.field({ type: ['LocalTime'], required: true, description: timesInput }),
    spreadMinutes: t.int({ description: spreadInput }),
  }),
})

const MonthlyInput = builder.inputType('MonthlyScheduleInput', {
  description: 'Backups that start on some days of the month.',
  fields: (t) => ({
    daysOfMonth: t.intList({
      required: true,
      defaultValue: [],
      description: 'The days, from 1 to 28, each once; none where only the last day is meant.',
    }),
    onLastDay: t.boolean({
      required: true,
      defaultValue: false,
      description: 'Whether backups start on the last day of each month too.',
    }),
    times: t.field({ type: ['LocalTime'], required: true, description: timesInput }),
    spreadMinutes: t.int({ description: spreadInput }),
  }),
})

export const ScheduleInput = builder.inputType('ScheduleInput', {
  description: 'When backups start by themselves, in local times of the time zone of the policy; exactly one kind.',
  isOneOf: true,
  fields: (t) => ({
    hourly: t.field({ type: HourlyInput, description: 'Every hour, or every few hours.' }),
    daily: t.field({ type: DailyInput, description: 'Every day.' }),
    weekly: t.field({ type: WeeklyInput, description: 'On some days of the week.' }),
    monthly: t.field({ type: MonthlyInput, description: 'On some days of the month.' }),
  }),
})

/** The schedule that an input asks for. */
export function askedSchedule({ hourly, daily, weekly, monthly }: typeof ScheduleInput.$inferInput): AskedSchedule {
  if (hourly) return { kind: 'HOURLY', ...hourly, spreadMinutes: hourly.spreadMinutes ?? null }
  if (daily) return { kind: 'DAILY', ...daily, spreadMinutes: daily.spreadMinutes ?? null }
  if (weekly) return { kind: 'WEEKLY', ...weekly, spreadMinutes: weekly.spreadMinutes ?? null }
  if (monthly) return { kind: 'MONTHLY', ...monthly, spreadMinutes: monthly.spreadMinutes ?? null }
  throw new Error('A schedule of no kind passed validation.')
}
