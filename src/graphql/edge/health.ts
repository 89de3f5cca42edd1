/**
 * What the metadata database answers, or why it does not, in words that hold no secret: it is waited for so long at most.
 * Throws what has no code of the network or of PostgreSQL: that is no outage, but a bug.
 */
export async function answered<T>(
  ask: () => Promise<T>,
  { withinMs = 3_000 }: { withinMs?: number } = {},
): Promise<{ answer: T; reason?: never } | { answer?: never; reason: string }> {
  const { promise: tooLate, resolve } = Promise.withResolvers<{ reason: string }>()
  const timer = setTimeout(() => resolve({ reason: unanswered }), withinMs)
  try {
    return await Promise.race([ask().then((answer) => ({ answer })), tooLate])
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined) throw error
    return { reason: `${unanswered.slice(0, -1)} (${code}).` }
  } finally {
    clearTimeout(timer)
  }
}

const unanswered = 'The metadata database does not answer.'

/** The first code among an error and its causes, such as ECONNREFUSED: messages may hold SQL. */
function codeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code
  }
  return undefined
}
