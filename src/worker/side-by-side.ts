/**
 * Does the work for each item, a few at once, in their order. When one fails the others are stopped by their signal and
 * waited for; then the first failure is thrown.
 */
export async function sideBySide<Item, Result>(
  items: readonly Item[],
  { most, signal }: { most: number; signal: AbortSignal },
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const stopping = new AbortController()
  const either = AbortSignal.any([signal, stopping.signal])
  const results: Result[] = []
  const waiting = [...items.entries()]
  const takeOver = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [index, item] = next
      either.throwIfAborted()
      results[index] = await work(item, either)
    }
  }
  const failures: unknown[] = []
  const hands = Array.from({ length: Math.min(most, items.length) }, () =>
    takeOver().catch((cause) => {
      failures.push(cause)
      stopping.abort(cause)
    }),
  )
  await Promise.all(hands)
  if (failures.length > 0) throw failures[0]
  return results
}
