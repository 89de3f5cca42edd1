import type { Page } from '../../database/page.ts'
import type { InstanceParent } from '../../instance/find.ts'
import { recentSince } from '../../instance/find-jobs.ts'
import type { GraphqlContext } from '../context.ts'
import { badUserInput } from '../schema/bad-user-input.ts'
import { type PageArgs, pageRequest } from '../schema/paging.ts'
import { BackupInstance } from './declared.ts'
import { instanceCountOf, instancesOf } from './loaded.ts'

export const none: Page<never> = { rows: [], hasNextPage: false, hasPreviousPage: false }

/** What every operation is told besides its input: who asks, and when. */
export function asked({ principal, now }: GraphqlContext): { actor: string; now: Date } {
  return { actor: principal.name, now: now() }
}

/** The instances of a vault, a server or a policy, as the field of that noun. */
export async function instancesField(
  parent: InstanceParent,
  { id }: { id: string },
  args: PageArgs,
  context: GraphqlContext,
) {
  const page = await instancesOf(context, id, { parent, page: pageRequest(BackupInstance, args) })
  return { page: page ?? none, count: async () => (await instanceCountOf(context, id, parent)) ?? 0 }
}

/**
 * Which recovery points by where they lie. Whoever names neither a vault nor copies gets the originals alone: each moment once,
 * as before there were copies.
 */
export function whereItLies(
  vault: { id: string } | null | undefined,
  isCopy: boolean | null | undefined,
): { vaultId?: string; isCopy?: boolean } {
  const which = isCopy === undefined && !vault ? false : isCopy
  return { ...(vault && { vaultId: vault.id }), ...(which != null && { isCopy: which }) }
}

/** A version as PostgreSQL writes it, out of its server_version_num: 150006 is "15.6", 90624 is "9.6.24". */
export function versionText(versionNumber: number): string {
  if (versionNumber < 100_000) {
    return `${Math.floor(versionNumber / 10_000)}.${Math.floor((versionNumber % 10_000) / 100)}.${versionNumber % 100}`
  }
  return `${Math.floor(versionNumber / 10_000)}.${versionNumber % 10_000}`
}

/** How far back to look, checked; null for all of it. */
export function sinceArgument(since: string | null | undefined, { now }: GraphqlContext): string | null {
  if (since == null) return null
  if (!recentSince(since, now())) throw badUserInput('`since` is a duration of whole units, such as "P7D".')
  return since
}

/** A length of time as ISO 8601 writes it, to the millisecond: 3725500 ms is "PT1H2M5.5S". */
export function durationText(milliseconds: number): string {
  const total = Math.max(0, milliseconds)
  const hours = Math.floor(total / 3_600_000)
  const minutes = Math.floor((total % 3_600_000) / 60_000)
  const seconds = (total % 60_000) / 1000
  const parts = [hours && `${hours}H`, minutes && `${minutes}M`, seconds && `${seconds}S`].filter(Boolean)
  return `PT${parts.join('') || '0S'}`
}
