import { Temporal } from 'temporal-polyfill'

// Local times are counted in milliseconds since 1970-01-01T00:00 on the zone's own clock.

/** A time in which a zone's clock keeps one distance from UTC; `until` is the moment it is changed. */
export interface Offset {
  from: number
  until: number
  offsetMs: number
}

const hourMs = 3_600_000
/** No clock is as far from UTC as that, and none was ever moved further at once. */
const furthestMs = 26 * hourMs

const known = new Map<string, Offset[]>()

/** The distance from UTC that a zone's clock keeps at a moment, and from when until when it does. Unknown zones throw RangeError. */
export function offsetAt(timeZone: string, at: number): Offset {
  const offsets = known.get(timeZone) ?? []
  let low = 0
  let high = offsets.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((offsets[middle]?.until ?? 0) <= at) low = middle + 1
    else high = middle
  }
  const found = offsets[low]
  if (found && found.from <= at) return found
  const read = readOffset(timeZone, at)
  offsets.splice(low, 0, read)
  known.set(timeZone, offsets)
  return read
}

/** What the zone's clock shows at a moment. */
export function localTimeAt(timeZone: string, at: number): number {
  return at + offsetAt(timeZone, at).offsetMs
}

/**
 * The first moment at which the zone's clock shows a local time or a later one: a time that the clock skips is the moment
 * at which it is moved, a time that it shows twice is the earlier one. Never decreases when the local time grows.
 */
export function firstMomentOf(timeZone: string, local: number): number {
  for (let offset = offsetAt(timeZone, local - furthestMs); ; offset = offsetAt(timeZone, offset.until)) {
    const moment = Math.max(offset.from, local - offset.offsetMs)
    if (moment < offset.until) return moment
  }
}

function readOffset(timeZone: string, at: number): Offset {
  const zoned = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timeZone)
  const next = zoned.getTimeZoneTransition('next')
  // The previous change is looked for before the next millisecond, so that one at this very moment counts.
  const previous = zoned.add({ milliseconds: 1 }).getTimeZoneTransition('previous')
  return {
    from: previous?.epochMilliseconds ?? Number.NEGATIVE_INFINITY,
    until: next?.epochMilliseconds ?? Number.POSITIVE_INFINITY,
    offsetMs: zoned.offsetNanoseconds / 1_000_000,
  }
}
