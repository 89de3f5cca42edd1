import { badUserInput } from './bad-user-input.ts'

const longestText = 200

/** A text to search by; refuses what no name can hold, and texts of more than 200 characters. `path` is where it was given. */
export function searchText(path: string, text: string): string {
  if (text.length > longestText) {
    throw badUserInput(`\`${path}\` has at most ${longestText} characters; ${text.length} were given.`)
  }
  if (text.includes('\0') || !text.isWellFormed()) {
    throw badUserInput(`\`${path}\` holds no NUL character and no half of a character: nothing has a name like that.`)
  }
  return text
}

/** Refuses a time that ends before it begins; either end may be missing. The names are the paths that they were given in. */
export function checkSpan(
  [sinceName, since]: readonly [string, Date | null | undefined],
  [untilName, until]: readonly [string, Date | null | undefined],
): void {
  if (since && until && since > until) {
    throw badUserInput(
      `\`${untilName}\` (${until.toISOString()}) lies before \`${sinceName}\` (${since.toISOString()}).`,
    )
  }
}
