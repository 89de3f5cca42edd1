import { tellUnexported } from '../../vault/tell-unexported.ts'
import type { Chore } from './clock.ts'

/** Tells of vaults whose recovery key nobody keeps. */
export const tellUnexportedChore: Chore = {
  name: 'tell of recovery keys that nobody keeps',
  everyMs: 60 * 60_000,
  run: ({ database }, now) => tellUnexported(database, now),
}
