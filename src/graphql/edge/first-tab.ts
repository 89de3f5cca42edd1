/** What GraphiQL shows at the first visit: it explains itself and runs as it is. */
export const firstTab = `# Holdfast: backups of PostgreSQL servers that are proven to restore.
#
# Press the play button (or Ctrl-Enter) to see how things stand: what is protected,
# where it is kept, and how the latest jobs went. Every word here is described:
# point at it, or open the documentation on the left.
#
# To protect a server of your own, open a new tab (+) and perform these mutations;
# each answers the ids that the next one asks for:
#
#   createVault          a place where recovery points are kept
#   registerServer       a PostgreSQL server, with a user and its password
#   configureProtection  the server in the vault, under a policy
#   backUpNow            a backup; the next tab shows its job while it runs
#   restoreToServer      a recovery point, given back into a server
#
query Overview {
  backupInstances(first: 10) {
    totalCount
    nodes {
      id
      name
      state
      server {
        name
        version
      }
      vault {
        name
      }
      storedBytes
      lastBackup {
        status
        endedAt
        error {
          message
          recommendedActions
        }
      }
      latestRecoveryPoint {
        id
        pointInTime
        proof
        expiresAt
      }
    }
  }
  vaults(first: 10) {
    nodes {
      id
      name
    }
  }
  servers(first: 10) {
    nodes {
      id
      name
      host
      port
    }
  }
  jobs(first: 10) {
    nodes {
      id
      operation
      status
      createdAt
      duration
    }
  }
  jobSummary {
    counts {
      operation
      status
      count
    }
  }
}
`

/** What the second tab shows: the jobs of the whole service as they go. */
export const secondTab = `# Press the play button and leave this running: every event of every job appears as it
# happens. A program that comes back asks with \`after\` and the last cursor it has seen,
# and misses nothing.
subscription Watch {
  jobEvents {
    cursor
    at
    type
    status
    message
    progress {
      bytesDone
      bytesTotal
    }
    subTask {
      name
      status
    }
    job {
      id
      operation
      backupInstanceName
    }
    error {
      message
      recommendedActions
    }
  }
}
`
