/** How one kind of failure is told to the person who has to act on it. */
interface FailureKind {
  message: string
  recommendedActions: readonly string[]
  /** True: the user can cure it (rights, password, network, space). False: it is Holdfast's own. */
  isUserError: boolean
  /** True: the same job may succeed if it is simply tried again. */
  isRetryable: boolean
}

const user = (message: string, recommendedActions: string[], isRetryable = false): FailureKind => ({
  message,
  recommendedActions,
  isUserError: true,
  isRetryable,
})
const ours = (message: string, recommendedActions: string[], isRetryable = false): FailureKind => ({
  message,
  recommendedActions,
  isUserError: false,
  isRetryable,
})

/** Every failure a job can end with: the one table. */
export const failures = {
  ADDRESS_INVALID: user('The registered host, port or user cannot be used as it is.', [
    'Set a plain host name or address, or another port, with updateServerAddress.',
    'Set a role and password that can be sent with updateServerCredentials.',
  ]),
  SERVER_UNREACHABLE: user(
    'The PostgreSQL server did not answer.',
    ['Check that it runs and listens on the registered host and port.', 'Check firewalls between it and the worker.'],
    true,
  ),
  HOST_UNKNOWN: user(
    "The server's host name could not be resolved.",
    ['Check the registered host and the name service.'],
    true,
  ),
  AUTHENTICATION_FAILED: user('The server refused the user name or password.', [
    'Set the right ones with updateServerCredentials.',
    "Check the server's pg_hba.conf for the worker's address.",
  ]),
  CREDENTIALS_MISSING: user('It is not known how to sign in to the server: it comes from an imported vault.', [
    'Set its role and password with updateServerCredentials.',
  ]),
  TLS_UNAVAILABLE: user('The server does not offer TLS, which its registration asks for.', [
    'Turn on ssl on the server, or on a network you trust set the TLS mode DISABLE with updateServerCredentials.',
  ]),
  TLS_UNTRUSTED: user("The server's certificate could not be verified.", [
    'Set the certificate authority that signed it with updateServerCredentials, and the host name that it was issued for with updateServerAddress.',
  ]),
  DATABASE_MISSING: user(
    'A database is not there (any more).',
    ['Check that it was meant to be dropped; the next backup takes the databases that exist then.'],
    true,
  ),
  SERVER_NOT_ACCEPTING: user(
    'The server is not accepting connections now.',
    ['Wait until it has started or recovered; the job tries again by itself.'],
    true,
  ),
  TOO_MANY_CONNECTIONS: user(
    'The server has no connection left for Holdfast.',
    ['Raise max_connections or free connections; the job tries again by itself.'],
    true,
  ),
  SERVER_RESOURCES_EXHAUSTED: user(
    'The server ran out of memory, disk or locks while it was read.',
    ['Read the details; free what they name (max_locks_per_transaction, say); the job tries again by itself.'],
    true,
  ),
  CONNECTION_LOST: user(
    'The connection to the server was lost while working.',
    ['Check whether the server was restarted or the network failed; the job tries again by itself.'],
    true,
  ),
  SERVER_TOO_NEW: user("The server is newer than the worker's PostgreSQL programs.", [
    "Install the client programs of the server's major version on the worker, or name their folder in HOLDFAST_POSTGRES_DIRECTORIES.",
  ]),
  SERVER_TOO_OLD: user("The server is older than the worker's PostgreSQL programs can read.", [
    'Upgrade the server, or install client programs that still read its version and name their folder in HOLDFAST_POSTGRES_DIRECTORIES.',
  ]),
  TOOLS_MISSING: user("PostgreSQL's programs were not found on the worker.", [
    'Install the PostgreSQL client package, or name its folder in HOLDFAST_POSTGRES_DIRECTORIES.',
  ]),
  PERMISSION_DENIED: user('The role may not read, or create, everything that it has to.', [
    'Grant what the details name; for reading, GRANT pg_read_all_data TO the role covers most.',
  ]),
  ROW_LEVEL_SECURITY: user('Row-level security hides rows from the role, so a backup would be incomplete.', [
    'ALTER ROLE … BYPASSRLS for the role that Holdfast signs in with.',
  ]),
  TABLE_LOCKED: user(
    'A table stayed locked by another session for longer than the lock wait.',
    [
      'Find the session that holds the lock (pg_locks) and end it, or back up at a quieter time; the job tries again by itself.',
    ],
    true,
  ),
  QUERY_CANCELLED: user(
    'Somebody cancelled a query of the job on the server.',
    ['Find out who cancels backends there; the job tries again by itself.'],
    true,
  ),
  TOOL_KILLED: ours(
    'A PostgreSQL program was killed by a signal.',
    ['Look for the out-of-memory killer on the worker; the job tries again by itself.'],
    true,
  ),
  TOOL_FAILED: ours('A PostgreSQL program failed.', ['Read the details: they hold what it said.'], true),
  ARCHIVE_UNREADABLE: ours('An archive could not be decoded.', [
    'Verify the recovery point to the level DECODED: that says whether it is to be trusted.',
    'Restore from another recovery point.',
    'Take a new backup.',
  ]),
  TARGET_NOT_EMPTY: user('The restore would land on data that is there already; nothing was touched.', [
    'Choose a database that does not exist or is empty, or a directory or folder that is empty.',
  ]),
  NETWORK_RULE_FORBIDS: user('The network rules of the storage account do not let the vault write into it.', [
    'Change the rules that the details name, by updateStorageAccountNetworking, then restore again.',
  ]),
  TARGET_IN_USE: user('The target database is in use by other sessions.', [
    'End the sessions that are connected to it, then restore again.',
  ]),
  EXTENSION_MISSING: user('The target server lacks an extension that the data needs.', [
    'Install the package of the extension on the target server, then restore again.',
  ]),
  ROLE_MISSING: user('The target server lacks a role that owns or may use restored objects.', [
    'Restore with ownership KEEP by a role that may create roles, or with ownership NONE.',
    'Create the role that the details name: policies name their roles, whoever owns the tables.',
  ]),
  LOCALE_MISSING: user('The target server lacks the locale or encoding of a database.', [
    'Install the locale on the target server, or restore into a server that has it.',
    'Or restore as files, and load the archive into a database that you created with another locale: text then sorts as that has it.',
  ]),
  TARGET_FULL: user('The target server has no space left; databases restored so far are removed again.', [
    'Free space on the target server, then restore again.',
  ]),
  TARGET_PLACE_TAKEN: user('The target lies where a vault or a storage account keeps its files.', [
    'Choose a directory outside of it; into a storage account, restore by one of its containers.',
  ]),
  TARGET_READ_ONLY: user('The target server takes no writes.', [
    'Restore into the primary server; a standby takes no writes.',
  ]),
  RESTORE_FAILED: user('pg_restore reported an error; databases restored so far are removed again.', [
    'Read the details: they hold what it said.',
  ]),
  PART_MISSING: user('The recovery point does not hold a schema or table that was chosen.', [
    'Choose among what the point holds: its databases list their tables.',
  ]),
  PART_INCOMPLETE: user('A chosen table cannot be made without others that were not chosen.', [
    'Choose what the details name as well, or the whole schema or database.',
  ]),
  ROWS_DIFFER: ours('Restored tables do not have the rows that the backup counted; the copy is removed again.', [
    'Read the details: they name every difference.',
    'Verify the recovery point, and restore as files to look at the archive itself.',
  ]),
  STORAGE_FULL: user(
    'There is no space left where the job writes; the partial files were removed.',
    ['Free space there, or move to a larger place.'],
    true,
  ),
  STORAGE_READ_ONLY: user('The place the job writes to is read-only.', [
    'Remount it writable, or choose another place.',
  ]),
  STORAGE_PERMISSION_DENIED: user('The worker may not read or write there.', [
    'Give the user that runs the worker rights on the directory.',
    'For a bucket, set a right access key with updateVaultCredentials or updateStorageAccountCredentials, and let it list, read, write and delete there.',
  ]),
  STORAGE_UNREACHABLE: user(
    'The storage location is not there.',
    [
      'Check that the disk is mounted and the directory exists.',
      'For a bucket, check its name, region and endpoint, and the network between it and the worker.',
    ],
    true,
  ),
  STORAGE_OBJECT_EXISTS: ours('A file that was to be written exists already; it was not touched.', [
    'Read the details; if they name nothing of yours, report it.',
  ]),
  STORAGE_OBJECT_MISSING: ours('A file of the recovery point is missing from the vault.', [
    'Find out who removed it; restore from another recovery point.',
  ]),
  STORAGE_KEY_INVALID: ours('A storage key was malformed.', ['Report this: it is a defect of Holdfast.']),
  STORAGE_FAILED: ours(
    'The storage answered with an error.',
    ['Read the details; check the disk, or the store of the bucket, and its logs.'],
    true,
  ),
  ARTIFACT_DAMAGED: ours('A file of the recovery point is damaged: it is not what was written.', [
    'Restore from another recovery point.',
    'Check the disk or the store that holds the vault, and take a new backup.',
  ]),
  PROOF_FAILED: ours('What the recovery point restores to is not what was backed up: it is suspect now.', [
    'Read the details: they name every table, index and assertion concerned.',
    'Restore from another recovery point, and take a new backup.',
  ]),
  ASSERTION_UNUSABLE: user(
    'An assertion could not be answered, so nothing was proven; the recovery point is as it was.',
    ['Read the details, set the assertions right with setProofAssertions, and verify again.'],
  ),
  PROOF_NOT_POSSIBLE: user(
    'The scratch server cannot take what the recovery point holds, so nothing was proven; the recovery point is as it was.',
    [
      'Read the details: they hold what it said.',
      'Verify to the level DECODED, and rehearse a restore into a server of your own.',
    ],
  ),
  SCRATCH_SERVER_MISSING: user('The worker has no PostgreSQL server to restore into for the proof.', [
    "Install the PostgreSQL server package of the source's major version on the worker, or name its folder in HOLDFAST_POSTGRES_DIRECTORIES.",
  ]),
  SCRATCH_SERVER_FAILED: ours(
    'The scratch server that a proof restores into did not start, or ended by itself.',
    ['Look for the out-of-memory killer on the worker, and at its disk; the job tries again by itself.'],
    true,
  ),
  VAULT_OCCUPIED: user("The vault's place holds other things and is no vault.", [
    'Empty it, or create a vault in another place.',
  ]),
  VAULT_MISSING: user('There is no vault in that place.', [
    'Give the folder, or the bucket and prefix, that holds holdfast-vault.json.',
    'Check that its disk is mounted.',
  ]),
  VAULT_NOT_IMPORTED: user('The vault cannot be added to the catalogue as it is.', [
    'Read the details: they say what is in the way.',
  ]),
  WRONG_KEY: user("The vault's files are sealed for another key, or mark it as another vault.", [
    'Check that the directory or bucket is the one this vault was created with.',
    'For an import, give the recovery key that was exported last for this vault.',
  ]),
  SECRET_UNREADABLE: user('A stored secret could not be opened with the key file.', [
    'Put back the key file that Holdfast was first started with, or set the credentials anew.',
  ]),
  INSTANCE_BUSY: user(
    'Other jobs of the backup instance have not ended.',
    ['Wait until they have ended, or cancel them; the job tries again by itself.'],
    true,
  ),
  CLOCKS_DISAGREE: user(
    "The worker's clock and the database's do not show the same time; nothing was removed.",
    ['Set the clocks of the worker and of the metadata database by NTP; the job tries again by itself.'],
    true,
  ),
  GONE: user('Something that the job needs was deleted after the job was enqueued.', ['Start the operation again.']),
  NO_PROGRESS: ours(
    'The job moved nothing for longer than the no-progress limit and was stopped.',
    ['Check the server and the network for a stall.', 'Raise HOLDFAST_NO_PROGRESS_SECONDS if such pauses are normal.'],
    true,
  ),
  UNRESPONSIVE: ours('The work did not stop when it was told to, and was given up.', [
    'Look at the worker for a program that hangs, then start the operation again.',
  ]),
  TIME_LIMIT: ours('The job ran longer than its time limit and was stopped.', [
    'Raise HOLDFAST_JOB_CEILING_MINUTES if so long a run is normal.',
  ]),
  WORKER_LOST: ours('The worker died while it ran the job, in every attempt.', [
    "Look at the worker's log and at the machine's memory.",
    'Start the operation again.',
  ]),
  INTERNAL: ours(
    'Holdfast failed in a way it does not know.',
    ['Read the log of the worker at that time and report it.'],
    true,
  ),
} as const satisfies Record<string, FailureKind>

export type FailureCode = keyof typeof failures

/** Whether a text is the code of a known failure. */
export function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(failures, code)
}

/** A failure as a job stores and shows it. */
export interface Failure {
  code: FailureCode
  message: string
  recommendedActions: string[]
  isUserError: boolean
  isRetryable: boolean
  details: string | null
}

/** Looks a failure up in the table; `details` is what the program or server said, free of secrets, capped at 4,000 characters. */
export function failureOf(code: FailureCode, details: string | null = null): Failure {
  const kind: FailureKind = failures[code]
  return {
    code,
    message: kind.message,
    recommendedActions: [...kind.recommendedActions],
    isUserError: kind.isUserError,
    isRetryable: kind.isRetryable,
    details: details === null || details === '' ? null : details.slice(0, 4000),
  }
}
