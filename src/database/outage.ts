/** What postgres.js and Node say when there is no working connection. */
const connectionCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECTION_CONNECT_TIMEOUT',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
])

/**
 * SQLSTATEs after which the same work may simply be done again: connection exceptions (08), out of resources (53),
 * ended or not accepting (57P), given up for taking too long (57014), idle in a transaction for too long (25P03),
 * serialisation and deadlock (40001, 40P01).
 */
const passingStates = /^(08...|53...|57P0[1-5]|57014|25P03|40001|40P01)$/

/** Whether the metadata database could not be asked, or broke off the work, for a reason that passes; causes are looked at too. */
export function isOutage(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof AggregateError && cause.errors.some(isOutage)) return true
    if (!('code' in cause) || typeof cause.code !== 'string') continue
    if (connectionCodes.has(cause.code) || passingStates.test(cause.code)) return true
  }
  return false
}
