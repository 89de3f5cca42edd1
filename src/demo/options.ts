import { resolve } from 'node:path'

export interface DemoOptions {
  /** Everything the demo makes lies here. */
  directory: string
  /** Where Holdfast listens; 0 takes what is free. */
  port: number
  /** Whether another port may be taken when this one is in use. */
  mayMove: boolean
  /** About how much sample data there is on disk. */
  megabytes: number
  /** Ends when the story is told, instead of serving until Ctrl-C. */
  once: boolean
  /** Lets years of a policy pass instead, with the service's clock moved, and ends. */
  timeLapse: boolean
  /** How many weeks the time-lapse takes. */
  weeks: number
  help: boolean
}

/** An argument or an environment variable that cannot be used; the message names it. */
export class InvalidOption extends Error {}

export const usage = `Usage: npm run demo -- [--once | --time-lapse]

  --once         stop everything when the story is told, instead of serving until Ctrl-C
  --time-lapse   let two years of a policy pass with a moved clock, show what is kept and why, and stop

Environment:
  HOLDFAST_DEMO_DIR         folder for everything the demo makes (default ./demo-data)
  HOLDFAST_DEMO_MEGABYTES   size of the sample data on disk, 40 to 20000 (default 280)
  HOLDFAST_DEMO_WEEKS       weeks that the time-lapse takes, 1 to 520 (default 104)
  HOLDFAST_PORT             port of the API (default 4000, or a free one when that is taken)`

/** Reads the command line and the environment; throws InvalidOption for the first thing that cannot be used. */
export function readOptions(args: readonly string[], environment: Record<string, string | undefined>): DemoOptions {
  const unknown = args.find((arg) => !['--once', '--time-lapse', '--help'].includes(arg))
  if (unknown !== undefined) throw new InvalidOption(`There is no option "${unknown}".\n\n${usage}`)
  const whole = (name: string, fallback: number, min: number, max: number) => {
    const text = environment[name]?.trim() || String(fallback)
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidOption(`${name} must be a whole number from ${min} to ${max}, not "${text}".`)
  }
  return {
    directory: resolve(environment.HOLDFAST_DEMO_DIR?.trim() || 'demo-data'),
    port: whole('HOLDFAST_PORT', 4000, 0, 65_535),
    mayMove: !environment.HOLDFAST_PORT?.trim(),
    megabytes: whole('HOLDFAST_DEMO_MEGABYTES', 280, 40, 20_000),
    once: args.includes('--once'),
    timeLapse: args.includes('--time-lapse'),
    weeks: whole('HOLDFAST_DEMO_WEEKS', 104, 1, 520),
    help: args.includes('--help'),
  }
}
