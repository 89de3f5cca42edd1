const readinessMs = 3000

/**
 * Why the service cannot serve right now, in words that hold no secret; undefined when it can.
 * The check throws when it cannot; it is waited for at most 3 s.
 */
export async function unreadiness(check: () => Promise<void>): Promise<string | undefined> {
  const { promise: tooLate, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('No answer in time.')), readinessMs)
  try {
    await Promise.race([check(), tooLate])
    return undefined
  } catch (error) {
    const code = codeOf(error)
    return `The metadata database does not answer${code === undefined ? '' : ` (${code})`}.`
  } finally {
    clearTimeout(timer)
  }
}

/** The first code among an error and its causes, such as ECONNREFUSED: messages may hold SQL. */
function codeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code
  }
  return undefined
}
