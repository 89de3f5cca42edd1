import { sql } from 'drizzle-orm'
import { recoveryPoints } from '../database/tables/recovery-point.ts'

/** What taking back a point's mark sets: it is what it was before. Only for points whose sweep has not begun. */
export const takenBack = {
  state: sql`case when ${recoveryPoints.damage} = '[]' then 'AVAILABLE' else 'SUSPECT' end::recovery_point_state`,
  markedAt: null,
  markReason: null,
}
