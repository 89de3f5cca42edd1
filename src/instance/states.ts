import { Refusal } from '../refusal.ts'
import type { BackupInstance, ProtectionState } from './instance.ts'

const live = [
  'CONFIGURING_PROTECTION',
  'CONFIGURING_PROTECTION_FAILED',
  'PROTECTION_CONFIGURED',
  'PROTECTION_STOPPED',
  'BACKUP_SCHEDULES_SUSPENDED',
] as const satisfies ProtectionState[]
const settled = ['PROTECTION_CONFIGURED', 'PROTECTION_STOPPED', 'BACKUP_SCHEDULES_SUSPENDED'] as const

/**
 * The whole state machine: what each operation on a backup instance may start from, and the state it leads to
 * ('same' leaves it). Configuration itself moves CONFIGURING_PROTECTION on, and a purge ends the instance.
 */
export const transitions = {
  RETRY_CONFIGURE_PROTECTION: { from: ['CONFIGURING_PROTECTION_FAILED'], to: 'CONFIGURING_PROTECTION' },
  CHANGE_POLICY: { from: settled, to: 'same' },
  BACK_UP_NOW: { from: ['PROTECTION_CONFIGURED'], to: 'same' },
  STOP_PROTECTION_RETAIN_FOREVER: {
    from: ['PROTECTION_CONFIGURED', 'BACKUP_SCHEDULES_SUSPENDED'],
    to: 'PROTECTION_STOPPED',
  },
  STOP_PROTECTION_RETAIN_AS_PER_POLICY: {
    from: ['PROTECTION_CONFIGURED', 'PROTECTION_STOPPED'],
    to: 'BACKUP_SCHEDULES_SUSPENDED',
  },
  RESUME_PROTECTION: { from: ['PROTECTION_STOPPED', 'BACKUP_SCHEDULES_SUSPENDED'], to: 'PROTECTION_CONFIGURED' },
  DELETE_BACKUP_INSTANCE: { from: live, to: 'SOFT_DELETED' },
  UNDELETE_BACKUP_INSTANCE: { from: ['SOFT_DELETED'], to: 'PROTECTION_STOPPED' },
  RESTORE: { from: live, to: 'same' },
  VERIFY_RECOVERY_POINT: { from: live, to: 'same' },
  HOLD_RECOVERY_POINT: { from: live, to: 'same' },
  RELEASE_RECOVERY_POINT: { from: live, to: 'same' },
  SET_PROOF_ASSERTIONS: { from: live, to: 'same' },
  ACKNOWLEDGE_CONTENT_ANOMALY: { from: live, to: 'same' },
  APPROVE_EXPIRY: { from: ['PROTECTION_CONFIGURED', 'BACKUP_SCHEDULES_SUSPENDED'], to: 'same' },
} as const satisfies Record<string, { from: readonly ProtectionState[]; to: ProtectionState | 'same' }>

export type InstanceOperation = keyof typeof transitions

/** In the order of the table. */
// The keys of a constant are its own.
export const instanceOperations = Object.keys(transitions) as InstanceOperation[]

/** States in which recovery points are removed when their time is over. */
export const statesThatExpire = ['PROTECTION_CONFIGURED', 'BACKUP_SCHEDULES_SUSPENDED'] as const

/** States in which the clock has an instance's vault looked at: nothing new goes where nothing expires, but what was begun is finished. */
export const statesLookedAt = [...statesThatExpire, 'PROTECTION_STOPPED'] as const

/** States in which backups are made or about to be: elsewhere health only tells how it was at the end. */
export const statesBackedUp = [
  'CONFIGURING_PROTECTION',
  'CONFIGURING_PROTECTION_FAILED',
  'PROTECTION_CONFIGURED',
] as const satisfies ProtectionState[]

/** Why nothing of an instance in a state expires; null for states in which points expire. */
export function standstillIn(state: ProtectionState): 'PROTECTION_STOPPED' | 'SOFT_DELETED' | null {
  if (statesThatExpire.some((each) => each === state)) return null
  return state === 'SOFT_DELETED' ? 'SOFT_DELETED' : 'PROTECTION_STOPPED'
}

/** The states an operation may start from. */
export function startsFrom(operation: InstanceOperation): ProtectionState[] {
  return [...transitions[operation].from]
}

/** The operations that a state allows. */
export function allowedOperations(state: ProtectionState): InstanceOperation[] {
  return instanceOperations.filter((operation) => startsFrom(operation).includes(state))
}

/** The backup instance's present state does not allow the operation. */
export class OperationNotAllowed extends Refusal {
  readonly currentState: ProtectionState
  readonly allowedOperations: InstanceOperation[]

  constructor(operation: InstanceOperation, instance: BackupInstance) {
    const allowed = allowedOperations(instance.state)
    super(`Backup instance "${instance.name}" is in state ${instance.state}, which does not allow ${operation}.`, [
      `Allowed now: ${allowed.join(', ')}.`,
    ])
    this.currentState = instance.state
    this.allowedOperations = allowed
  }
}
