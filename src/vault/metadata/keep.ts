const keptNewest = 3
const keptDays = 7
const keptWeeks = 4
const dayMs = 86_400_000

/**
 * Which copies of the metadata stay, of all that are whole: the newest three, and the newest of each of the last 7 days and of each of the last 4
 * weeks (Monday to Sunday, UTC) that have one. Days and weeks without a copy do not count, so that old copies stay while no
 * new ones come. One that is dated after now, because a clock was wrong, stays until then and takes the place of no other.
 */
export function copiesToKeep<Copy extends { createdAt: Date }>(copies: readonly Copy[], now: Date): Set<Copy> {
  // Not known to be of before, so that a date that is none takes no copy away.
  const ofLater = copies.filter(({ createdAt }) => !(createdAt <= now))
  const newestFirst = copies
    .filter(({ createdAt }) => createdAt <= now)
    .toSorted((left, right) => right.createdAt.getTime() - left.createdAt.getTime())
  const day = ({ createdAt }: Copy) => Math.floor(createdAt.getTime() / dayMs)
  // The first of January 1970 was a Thursday.
  const week = (copy: Copy) => Math.floor((day(copy) + 3) / 7)
  return new Set([
    ...ofLater,
    ...newestFirst.slice(0, keptNewest),
    ...newestOfEach(newestFirst, day, keptDays),
    ...newestOfEach(newestFirst, week, keptWeeks),
  ])
}

function newestOfEach<Copy>(newestFirst: readonly Copy[], periodOf: (copy: Copy) => number, most: number): Copy[] {
  const newest = new Map<number, Copy>()
  for (const copy of newestFirst) {
    const period = periodOf(copy)
    if (newest.size < most && !newest.has(period)) newest.set(period, copy)
  }
  return [...newest.values()]
}
