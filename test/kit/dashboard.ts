/** What a dashboard asks of each backup instance on its page, all of it at once. */
export const dashboardInstance = `id name state stateSince allowedOperations health isOverdue nextBackupAt
  policy { name } vault { name } server { name version }
  lastBackup { id status endedAt error { code message } }
  latestRecoveryPoint { id createdAt expiresAt proof } latestProvenPoint { createdAt } oldestRecoveryPoint { createdAt }
  jobs(first: 100) { totalCount nodes { id operation status createdAt duration } }
  recoveryPointCount storedBytes sourceBytes
  growth { since sourceBytesPerDay storedBytesPerDay points { at sourceBytes storedBytes } }`

export const dashboardQuery = (first: number) =>
  `{ backupInstances(first: ${first}) { totalCount nodes { ${dashboardInstance} } pageInfo { hasNextPage endCursor } } }`
