import { readFileSync } from 'node:fs'

const { version: text }: { version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
)

/** The version of this Holdfast, such as "1.2.3". */
export const version = text
