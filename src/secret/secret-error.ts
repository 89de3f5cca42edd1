/** What is wrong with a key or a sealed text. */
export type SecretErrorCode =
  | 'KEY_FILE_UNSAFE'
  | 'KEY_FILE_INVALID'
  | 'WRONG_KEY'
  | 'SEALED_TEXT_INVALID'
  | 'IDENTITY_INVALID'
  | 'RECIPIENT_INVALID'

/** A key cannot be used, or does not open what it was asked to open. The message never holds the key or the secret. */
export class SecretError extends Error {
  readonly code: SecretErrorCode

  constructor(code: SecretErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SecretError'
    this.code = code
  }
}
