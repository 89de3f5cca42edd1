/** What went wrong with PostgreSQL or its programs, for the one table of failure codes. */
export type EngineErrorCode =
  | 'ADDRESS_INVALID'
  | 'SERVER_UNREACHABLE'
  | 'HOST_UNKNOWN'
  | 'AUTHENTICATION_FAILED'
  | 'TLS_UNAVAILABLE'
  | 'TLS_UNTRUSTED'
  | 'DATABASE_MISSING'
  | 'SERVER_NOT_ACCEPTING'
  | 'TOO_MANY_CONNECTIONS'
  | 'SERVER_RESOURCES_EXHAUSTED'
  | 'CONNECTION_LOST'
  | 'SERVER_TOO_NEW'
  | 'SERVER_TOO_OLD'
  | 'TOOLS_MISSING'
  | 'PERMISSION_DENIED'
  | 'ROW_LEVEL_SECURITY'
  | 'TABLE_LOCKED'
  | 'QUERY_CANCELLED'
  | 'TOOL_KILLED'
  | 'TOOL_FAILED'
  | 'ARCHIVE_UNREADABLE'
  | 'TARGET_NOT_EMPTY'
  | 'TARGET_IN_USE'
  | 'EXTENSION_MISSING'
  | 'ROLE_MISSING'
  | 'LOCALE_MISSING'
  | 'PART_MISSING'
  | 'PART_INCOMPLETE'
  | 'TARGET_FULL'
  | 'TARGET_READ_ONLY'
  | 'RESTORE_FAILED'

/** PostgreSQL or one of its programs failed; `details` is what it said (capped, free of secrets). */
export class EngineError extends Error {
  readonly code: EngineErrorCode
  readonly details: string

  constructor(code: EngineErrorCode, message: string, details = '', options?: ErrorOptions) {
    super(message, options)
    this.name = 'EngineError'
    this.code = code
    this.details = details
  }
}
