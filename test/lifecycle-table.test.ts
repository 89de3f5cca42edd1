import { expect } from 'vitest'
import { protectionState } from '../src/database/tables/backup-instance.ts'
import {
  allowedOperations,
  type InstanceOperation,
  instanceOperations,
  OperationNotAllowed,
  startsFrom,
  transitions,
} from '../src/instance/states.ts'
import { asked, dumpOf, instanceOf, type LifeSeed, now, refusalOf, weekly } from './kit/lifecycle.ts'
import { type Life, live, performed, rehearsed } from './kit/perform.ts'
import { test } from './kit/test.ts'

const operations: Record<InstanceOperation, (life: Life, options: typeof asked) => Promise<unknown>> = {
  ...rehearsed,
  ...performed,
}

const points = weekly.slice(-2)
/** What an operation needs besides the state of the instance. */
const needs: Partial<Record<InstanceOperation, LifeSeed>> = {
  APPROVE_EXPIRY: { points, instance: { expiryBlockedAt: now, expiryBlockedCount: 2 } },
  ACKNOWLEDGE_CONTENT_ANOMALY: { points, instance: { contentAnomalySince: now } },
  RELEASE_RECOVERY_POINT: { points: points.map((point) => ({ ...point, heldAt: now, heldBy: 'tester' })) },
}

test.for(instanceOperations)('%s does in every state what the table says', async (operation, { database }) => {
  for (const state of protectionState.enumValues) {
    const life = await live(database, { points, ...needs[operation], state })
    const before = await dumpOf(database)
    const isAllowed = startsFrom(operation).includes(state)
    if (isAllowed) {
      await operations[operation](life, asked)
      const { to } = transitions[operation]
      const after = await instanceOf(database, life.instance.id)
      expect({ from: state, state: after.state, stateSince: after.stateSince }).toEqual({
        from: state,
        state: to === 'same' ? state : to,
        stateSince: to === 'same' ? life.instance.stateSince : now,
      })
      expect(audited(await dumpOf(database))).toBeGreaterThan(audited(before))
      continue
    }
    const refusal = await refusalOf(operations[operation](life, asked))
    expect(refusal).toBeInstanceOf(OperationNotAllowed)
    expect(refusal).toMatchObject({ currentState: state, allowedOperations: allowedOperations(state) })
    expect(await dumpOf(database)).toEqual(before)
  }
})

function audited(dump: readonly string[]): number {
  return dump.filter((row) => row.startsWith('audit_records')).length
}
