/** Whether a failure is a file system's own: there is no room for what was to be written. */
export function isFull(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT')
}
