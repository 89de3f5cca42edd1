/**
 * An answer the caller can act on: an expected "no" with what to do about it.
 * Every subclass is a type of the public schema, named after the class; its own
 * fields carry what a client needs to recover. The message holds no secret.
 */
export abstract class Refusal extends Error {
  readonly recommendedActions: readonly string[]

  constructor(message: string, recommendedActions: readonly string[]) {
    super(message)
    this.name = new.target.name
    this.recommendedActions = recommendedActions
  }
}

/** An id of another kind of object than its place takes: where it stands, and the two types of the schema. */
export interface WrongKind {
  field: string | null
  given: string
  needed: string
}

/** Nothing of that kind has the given id, or it is no longer there. */
export class NotFound extends Refusal {
  readonly kind: string
  /** The field whose id is of another kind of object; null when its kind is right. */
  readonly field: string | null

  constructor(kind: string, wrongKind?: WrongKind) {
    super(
      wrongKind
        ? `That is the id of ${withArticle(wrongKind.given)}, not of ${withArticle(wrongKind.needed)}.`
        : `There is no ${kind} with that id.`,
      [`List what exists and use one of the ids shown there.`],
    )
    this.kind = kind
    this.field = wrongKind?.field ?? null
  }
}

/** A type of the schema as a sentence names one of it: "a Vault", "an AuditRecord". */
export function withArticle(typeName: string): string {
  return `${/^[AEIOU]/.test(typeName) ? 'an' : 'a'} ${typeName}`
}

/** One field of the input cannot be used as it is; nothing was changed. */
export class InvalidInput extends Refusal {
  readonly field: string

  constructor(field: string, message: string, recommendedActions: readonly string[] = []) {
    super(message, recommendedActions)
    this.field = field
  }
}

/** The name is taken by another object of the same kind. */
export class NameTaken extends Refusal {
  readonly takenName: string

  constructor(kind: string, takenName: string) {
    super(`A ${kind} named "${takenName}" exists already.`, ['Choose another name.'])
    this.takenName = takenName
  }
}

/** What was typed to confirm is not the name of what is meant; nothing was changed. */
export class ConfirmationMismatch extends Refusal {
  readonly field = 'confirmName'

  constructor(kind: string, name: string) {
    super(`To confirm, confirmName must be exactly the name of the ${kind}, which is "${name}".`, [
      `Make sure that this is the ${kind} you mean, and type its name as it is written there.`,
    ])
  }
}

/**
 * Refuses a name that is empty, over 200 characters, padded with spaces or holding control characters, invisible or half
 * ones; `field` is the input field it came in.
 */
export function checkName(field: string, name: string): void {
  if (name.length === 0 || name.length > 200) {
    throw new InvalidInput(field, `A name has 1 to 200 characters; this one has ${name.length}.`, [
      'Choose another name.',
    ])
  }
  if (name !== name.trim() || /\p{Cc}/u.test(name)) {
    throw new InvalidInput(field, 'A name neither starts nor ends with a space and holds no control characters.', [
      'Choose another name.',
    ])
  }
  if (
    !name.isWellFormed() ||
    /\p{Cf}/u.test(name) ||
    !/[^\p{Default_Ignorable_Code_Point}\p{White_Space}\p{M}\u2800]/u.test(name)
  ) {
    throw new InvalidInput(
      field,
      'A name holds no characters that cannot be seen, for it has to be typed to confirm.',
      ['Type the name anew: such characters often come from copying out of a document.'],
    )
  }
}

/**
 * Refuses a comment or reason over 2,000 characters, or one that holds control characters other than line breaks and tabs
 * or half characters; null says nothing. `field` is the input field it came in.
 */
export function checkComment(field: string, text: string | null): void {
  if (text === null) return
  if (text.length > 2_000) {
    throw new InvalidInput(field, `This text has at most 2000 characters; ${text.length} were given.`, [
      'Say it more briefly.',
    ])
  }
  if (!text.isWellFormed() || /[^\P{Cc}\n\t]/u.test(text)) {
    throw new InvalidInput(field, 'This text holds no control characters other than line breaks and tabs.', [
      'Remove them: they often come from copying out of a terminal.',
    ])
  }
  if (/\p{Bidi_Control}/u.test(text)) {
    throw new InvalidInput(field, 'This text holds no characters that turn the direction of writing.', [
      'Remove them: with them a text can look like another one.',
    ])
  }
}
