import type { HealthOptions } from '../../src/graphql/edge/health-routes.ts'

/** A service that has nothing to tell: it serves, a worker is there, and there is no job. */
export const quietHealth = {
  readiness: async () => {},
  collect: async () => ({
    jobs: [],
    oldestQueuedSeconds: 0,
    workerSeenSeconds: 0,
    overdueCount: 0,
    byHealth: [],
    suspectPointCount: 0,
  }),
  workerSeenSeconds: async () => 0,
} satisfies HealthOptions
