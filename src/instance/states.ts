import { Refusal } from '../refusal.ts'
import type { BackupInstance, ProtectionState } from './instance.ts'

/** The operations of a backup instance, and the states each may start from: the whole state machine. */
export const startsFrom = {
  RETRY_CONFIGURE_PROTECTION: ['CONFIGURING_PROTECTION_FAILED'],
  BACK_UP_NOW: ['PROTECTION_CONFIGURED'],
} as const satisfies Record<string, readonly ProtectionState[]>

export type InstanceOperation = keyof typeof startsFrom

export const instanceOperations: readonly InstanceOperation[] = ['RETRY_CONFIGURE_PROTECTION', 'BACK_UP_NOW']

/** The operations that a state allows. */
export function allowedOperations(state: ProtectionState): InstanceOperation[] {
  return instanceOperations.filter((operation) => {
    const states: readonly ProtectionState[] = startsFrom[operation]
    return states.includes(state)
  })
}

/** The backup instance's present state does not allow the operation. */
export class OperationNotAllowed extends Refusal {
  readonly currentState: ProtectionState
  readonly allowedOperations: InstanceOperation[]

  constructor(operation: InstanceOperation, instance: BackupInstance) {
    const allowed = allowedOperations(instance.state)
    super(
      `Backup instance "${instance.name}" is in state ${instance.state}, which does not allow ${operation}.`,
      allowed.length > 0
        ? [`Allowed now: ${allowed.join(', ')}.`]
        : ['Wait until the running configuration job has ended, then look at the state again.'],
    )
    this.currentState = instance.state
    this.allowedOperations = allowed
  }
}
