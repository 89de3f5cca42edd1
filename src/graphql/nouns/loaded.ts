import type { PageRequest } from '../../database/page.ts'
import { countInstancesOf, type InstanceParent, pageInstancesOf } from '../../instance/find.ts'
import { countJobsOfInstances, pageJobsOfInstances, recentSince } from '../../instance/find-jobs.ts'
import { findProofAssertions } from '../../instance/find-proof-assertions.ts'
import { findLastJobs, findSubTasks } from '../../job/find.ts'
import { type EventPageRequest, pageEventsOfJobs } from '../../job/page-events.ts'
import { findFailingSince } from '../../notification/channel/find.ts'
import { countDeliveriesOf, findDeliveriesOfNotifications, pageDeliveriesOf } from '../../notification/delivery/find.ts'
import { findRecoveryPointsOfJobs } from '../../recovery-point/find.ts'
import {
  countRecoveryPointsOf,
  findHoldings,
  findLatestRecoveryPoints,
  type OwnPointFilter,
  pageRecoveryPointsOf,
} from '../../recovery-point/find-by-parent.ts'
import { findProofs } from '../../recovery-point/find-proofs.ts'
import { countContainersOf, findResourceInstances, pageContainersOf } from '../../storage-account/find.ts'
import { findVaults } from '../../vault/find.ts'
import { findKeysOf } from '../../vault/key/find.ts'
import { batched } from '../schema/batched.ts'

/** How many rows a page has at most. */
const sizeOf = ({ first, last }: { first?: number; last?: number }) => last ?? first ?? 0

// What nouns show of other nouns: one statement each for any number of parents.

export const instancesOf = batched(
  ({ database }, parentIds, { parent, page }: { parent: InstanceParent; page: PageRequest }) =>
    pageInstancesOf(database, parent, { parentIds, page }),
  ({ page }) => sizeOf(page),
)

export const instanceCountOf = batched(({ database }, parentIds, parent: InstanceParent) =>
  countInstancesOf(database, parent, parentIds),
)

export const pointsOf = batched(
  ({ database }, instanceIds, { filter, page }: { filter: OwnPointFilter; page: PageRequest }) =>
    pageRecoveryPointsOf(database, { instanceIds, filter, page }),
  ({ page }) => sizeOf(page),
)

export const pointCountOf = batched(({ database }, instanceIds, filter: OwnPointFilter) =>
  countRecoveryPointsOf(database, instanceIds, filter),
)

export const latestPointOf = batched(({ database }, instanceIds) => findLatestRecoveryPoints(database, instanceIds))

export const pointOfJob = batched(async ({ database }, jobIds) => {
  const points = await findRecoveryPointsOfJobs(database, jobIds)
  return new Map(points.flatMap((point) => (point.jobId === null ? [] : [[point.jobId, point]])))
})

export const proofsOf = batched(
  ({ database }, pointIds, { first }: { first: number }) => findProofs(database, pointIds, { first }),
  ({ first }) => first,
)

/** There are 20 of them at most. */
export const proofAssertionsOf = batched(
  ({ database }, instanceIds) => findProofAssertions(database, instanceIds),
  () => 20,
)

export const holdingsOf = batched(({ database }, parentIds, parent: 'vault' | 'instance') =>
  findHoldings(database, parent, parentIds),
)

export const lastBackupOf = batched(({ database }, instanceIds) =>
  findLastJobs(database, instanceIds, { operations: ['BACKUP'] }),
)

export const keysOfVault = batched(async ({ database }, vaultIds) =>
  findKeysOf(database, await findVaults(database, vaultIds)),
)

/** Jobs of the time before now that the ISO 8601 duration names; of any time when it is null. */
export const jobsOf = batched(
  ({ database, now }, instanceIds, { since, page }: { since: string | null; page: PageRequest }) =>
    pageJobsOfInstances(database, { instanceIds, since: startOf(since, now), page }),
  ({ page }) => sizeOf(page),
)

export const jobCountOf = batched(({ database, now }, instanceIds, { since }: { since: string | null }) =>
  countJobsOfInstances(database, { instanceIds, since: startOf(since, now) }),
)

export const subTasksOf = batched(({ database }, jobIds) => findSubTasks(database, jobIds))

export const eventsOf = batched(
  ({ database }, jobIds, page: EventPageRequest) => pageEventsOfJobs(database, { jobIds, page }),
  sizeOf,
)

/** Channels are few: the rows are counted as if there were ten. */
export const deliveriesOfNotification = batched(
  ({ database }, notificationIds) => findDeliveriesOfNotifications(database, notificationIds),
  () => 10,
)

export const deliveriesOfChannel = batched(
  ({ database }, channelIds, page: PageRequest) => pageDeliveriesOf(database, { channelIds, page }),
  sizeOf,
)

export const deliveryCountOf = batched(({ database }, channelIds) => countDeliveriesOf(database, channelIds))

export const failingSinceOf = batched(({ database }, channelIds) => findFailingSince(database, channelIds))

export const containersOf = batched(
  ({ database }, accountIds, page: PageRequest) => pageContainersOf(database, { accountIds, page }),
  sizeOf,
)

export const containerCountOf = batched(({ database }, accountIds) => countContainersOf(database, accountIds))

/** Vaults are few: the rows are counted as if there were ten. */
export const resourceInstancesOf = batched(
  ({ database }, accountIds) => findResourceInstances(database, accountIds),
  () => 10,
)

function startOf(since: string | null, now: () => Date): Date | null {
  return since === null ? null : (recentSince(since, now()) ?? null)
}
