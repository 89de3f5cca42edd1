import { InvalidInput, Refusal } from '../refusal.ts'
import type { Vault } from './vault.ts'

/** The rules of a vault that say what may be removed from it, and when, and how soon damage in it is found. */
export type VaultSecurity = Pick<Vault, 'softDeleteDays' | 'immutability' | 'expiryShareLimitPercent' | 'scrubDays'>

/** What a locked vault does not allow. */
export const vaultRules = [
  'IMMUTABILITY_STAYS_LOCKED',
  'SOFT_DELETE_IS_NOT_SHORTENED',
  'EXPIRY_SHARE_LIMIT_IS_NOT_RAISED',
  'SCRUB_IS_NOT_LOOSENED',
] as const
export type VaultRule = (typeof vaultRules)[number]

const ruleSentences: Readonly<Record<VaultRule, string>> = {
  IMMUTABILITY_STAYS_LOCKED: 'its immutability can never be taken back',
  SOFT_DELETE_IS_NOT_SHORTENED: 'the retention of its soft delete can only be lengthened',
  EXPIRY_SHARE_LIMIT_IS_NOT_RAISED: 'the share of recovery points that may expire at once can only be lowered',
  SCRUB_IS_NOT_LOOSENED: 'the period within which all bytes are read again can only be shortened',
}

/** The vault is locked for ever: what protects its data can only be made stronger. */
export class VaultLocked extends Refusal {
  readonly vaultId: string
  readonly rule: VaultRule

  constructor({ id, name, ...rules }: Pick<Vault, 'id' | 'name'> & VaultSecurity, rule: VaultRule) {
    const { softDeleteDays, expiryShareLimitPercent, scrubDays } = rules
    const scrub = scrubDays === 0 ? '' : ` Leave the period of the scrub at ${scrubDays} days or less.`
    super(`Vault "${name}" is LOCKED: ${ruleSentences[rule]}.`, [
      `Leave immutability at LOCKED, soft delete at ${softDeleteDays} days or more and the share limit at ${expiryShareLimitPercent} percent or less.${scrub}`,
      'To keep data under other rules, create another vault.',
    ])
    this.vaultId = id
    this.rule = rule
  }
}

/** Refuses rules that are out of range or contradict each other; names the input field. */
export function checkSecurity({
  softDeleteDays,
  immutability,
  expiryShareLimitPercent,
  scrubDays,
}: Partial<VaultSecurity>): void {
  if (softDeleteDays !== undefined && !isWithin(softDeleteDays, 0, 180)) {
    throw new InvalidInput(
      'softDelete.retentionDays',
      `Soft delete keeps deleted backup instances 1 to 180 days, or 0 for off; ${softDeleteDays} was given.`,
      ['Give a number of days from 0 to 180; 14 is usual.'],
    )
  }
  if (expiryShareLimitPercent !== undefined && !isWithin(expiryShareLimitPercent, 1, 100)) {
    throw new InvalidInput(
      'expiryShareLimitPercent',
      `The share of recovery points that may expire at once is 1 to 100 percent; ${expiryShareLimitPercent} was given.`,
      ['Give a number from 1 to 100; 50 is usual.'],
    )
  }
  if (scrubDays !== undefined && !isWithin(scrubDays, 0, 365)) {
    throw new InvalidInput(
      'scrub.periodDays',
      `All bytes are read again within 1 to 365 days, or 0 for not at all; ${scrubDays} was given.`,
      ['Give a number of days from 0 to 365; 30 is usual.'],
    )
  }
  if (softDeleteDays === 0 && immutability !== undefined && immutability !== 'DISABLED') {
    throw new InvalidInput(
      'softDelete.retentionDays',
      `Soft delete cannot be off while immutability is ${immutability}.`,
      [
        'Give a retention of 1 to 180 days.',
        ...(immutability === 'UNLOCKED' ? ['Or set immutability to DISABLED.'] : []),
      ],
    )
  }
}

/** Which rule of a locked vault a change would break; undefined when it breaks none. */
export function brokenRule(before: VaultSecurity, after: VaultSecurity): VaultRule | undefined {
  if (before.immutability !== 'LOCKED') return undefined
  if (after.immutability !== 'LOCKED') return 'IMMUTABILITY_STAYS_LOCKED'
  if (after.softDeleteDays < before.softDeleteDays) return 'SOFT_DELETE_IS_NOT_SHORTENED'
  if (after.expiryShareLimitPercent > before.expiryShareLimitPercent) return 'EXPIRY_SHARE_LIMIT_IS_NOT_RAISED'
  if (before.scrubDays > 0 && (after.scrubDays === 0 || after.scrubDays > before.scrubDays)) {
    return 'SCRUB_IS_NOT_LOOSENED'
  }
  return undefined
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most
}
