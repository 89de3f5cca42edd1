/** Orders versions of an extension, such as "1.9" before "1.10" and "2.0" before "2.0.1"; texts in them by the alphabet. */
export function compareVersions(left: string, right: string): number {
  const [own, other] = [partsOf(left), partsOf(right)]
  for (let at = 0; at < Math.max(own.length, other.length); at++) {
    const order = compareParts(own[at] ?? '', other[at] ?? '')
    if (order !== 0) return order
  }
  return 0
}

function partsOf(version: string): string[] {
  return version.match(/\d+|[a-z]+/gi) ?? []
}

function compareParts(own: string, other: string): number {
  const [ownNumber, otherNumber] = [Number(own || 0), Number(other || 0)]
  if (!Number.isNaN(ownNumber) && !Number.isNaN(otherNumber)) return ownNumber - otherNumber
  return own < other ? -1 : own > other ? 1 : 0
}
