import { UnreadableCopy } from '../database/copy/in.ts'
import { UnknownMigrations } from '../database/copy/migrate-to.ts'
import { DataDirectoryInUse, takeDataDirectory } from '../database/data-directory.ts'
import { InvalidInput } from '../refusal.ts'
import { SecretError } from '../secret/secret-error.ts'
import { InvalidSetting, readRecoverySettings } from '../settings.ts'
import { openStorage } from '../storage/open.ts'
import { StorageError } from '../storage/storage-error.ts'
import { readArguments, usage } from './arguments.ts'
import { chooseCopy, copiesFor, type FoundCopy, listCopies, type OpenedVault, openVault } from './find-copy.ts'
import { type Recovered, recover } from './recover.ts'
import { RecoveryRefused } from './refused.ts'
import type { RemovalsPutOff } from './rest.ts'

const say = (text: string) => void process.stdout.write(`${text}\n`)

/** Brings Holdfast back on a machine that has nothing but a vault and its recovery key. */
async function main(words: readonly string[]): Promise<void> {
  if (words.includes('--help') || words.length === 0) return say(usage)
  const { accessKey, settingsFor } = readRecoverySettings()
  const asked = await readArguments(words, accessKey)
  const storage = openStorage(asked.location)
  const vault = await openVault(storage, asked.identities)
  const { vaultId, identities } = vault
  for (const { message } of vault.lostKeys) say(`${lostKey} ${message}`)
  const all = await listCopies(storage)
  const copies = vault.isPresentKey ? all : await copiesFor(storage, all, identities)
  if (!vault.isPresentKey) say(aboutFormerKey(vault, { all, copies }))
  if (asked.isListing) return say(listOf(copies))
  const copy = chooseCopy(copies, asked.at, new Date())
  if (copy.header.vaultId !== vaultId) throw new RecoveryRefused(`${copy.prefix} was made for another vault.`)
  const settings = settingsFor(asked.dataDirectory)
  using _lock = await takeDataDirectory(settings.dataDirectory)
  say(`Recovering from the copy of ${copy.header.createdAt}, made by Holdfast ${copy.header.version}.`)
  const recovered = await recover({ settings, asked, storage, copies, copy, identities })
  say(report(recovered, settings.dataDirectory))
  if (vault.isPresentKey && recovered.recipient !== vault.recipient) say(rotatedSince)
}

const lostKey =
  'A former key that lies in the vault cannot be read: what only it opens stays closed, until its file is brought from another copy of the vault.'

const rotatedSince =
  "The vault's key was rotated after the copy was made: before anything else run importVault, with the vault's own name and place and its present recovery key. Until then recovery points whose manifests were wrapped for it seem damaged."

/** What cannot be had with it, said before anything is done. */
function aboutFormerKey(
  { recipient }: OpenedVault,
  { all, copies }: { all: readonly FoundCopy[]; copies: readonly FoundCopy[] },
): string {
  const lines = [
    `The recovery key is a former one of this vault: since it was rotated, the vault is sealed for ${recipient}. What was sealed since then cannot be opened with it: recovery points, and copies of the metadata.`,
  ]
  const closed = all.filter((copy) => !copies.includes(copy))
  if (closed.length > 0) {
    const newest = closed[0]?.header?.createdAt ?? 'an unknown time'
    lines.push(`Copies of the metadata that stay closed: ${closed.length}, the newest of ${newest}.`)
  }
  lines.push('If you find the present recovery key, use that one.')
  return lines.join('\n')
}

function listOf(copies: readonly FoundCopy[]): string {
  if (copies.length === 0) return 'The vault holds no copy of the metadata.'
  const lines = copies.map(({ prefix, header }) => {
    if (!header) return `${prefix}  its header is damaged`
    const { createdAt, version, storedBytes, hasKeyFile } = header
    return `${createdAt}  ${storedBytes} bytes, Holdfast ${version}${hasKeyFile ? '' : ', without the key file'}`
  })
  return ['Copies of the metadata, newest first:', ...lines].join('\n')
}

function report(
  { hasKeyFile, rowCount, cancelledRestores, endedBackups, removals, unknownPointCount, otherVaults }: Recovered,
  dataDirectory: string,
): string {
  const lines = [`Recovered: ${rowCount} rows, in ${dataDirectory}. Start it with "npm start".`]
  if (!hasKeyFile) {
    lines.push(
      'The copy was made without the key file: set the password of every server with updateServerCredentials, and the access keys of other vaults with updateVaultCredentials.',
    )
  }
  if (cancelledRestores > 0)
    lines.push(`Restores that were under way and are taken back: ${cancelledRestores}. Ask for them again.`)
  if (endedBackups > 0) {
    lines.push(
      `Backups that were under way: ${endedBackups}. What they have made stays as it is; start others with backUpNow, or leave it to the schedules.`,
    )
  }
  if (unknownPointCount === null) {
    lines.push(
      'Whether there are recovery points in the vault that are newer than the copy could not be seen: run importVault.',
    )
  } else if (unknownPointCount > 0) {
    lines.push(
      `Recovery points in the vault that are newer than the copy: ${unknownPointCount}. They are whole, but not in the catalogue: run importVault to have them there.`,
    )
  }
  lines.push(...aboutRemovals(removals))
  for (const { name, place } of otherVaults)
    lines.push(`Vault "${name}" is expected in ${place}: see that it is there.`)
  lines.push(
    'If the machine of before still lives, stop Holdfast there for good before you start this one: two services must never use one vault.',
  )
  return lines.join('\n')
}

const mostNamed = 20

function aboutRemovals({ until, purges, expiringPointCount }: RemovalsPutOff): string[] {
  const lines = [
    `Nothing is removed until ${until.toISOString()}: what was put on hold, kept for ever or had back after the copy was made is not known any more. Do that again before then.`,
  ]
  if (purges.length > 0) {
    const named = purges.slice(0, mostNamed).map((name) => `"${name}"`)
    const more = purges.length > mostNamed ? ` and ${purges.length - mostNamed} more` : ''
    lines.push(`Deleted backup instances that are purged then: ${named.join(', ')}${more}.`)
  }
  if (expiringPointCount > 0) lines.push(`Recovery points whose time is over by then: ${expiringPointCount}.`)
  return lines
}

const expected = [
  RecoveryRefused,
  InvalidSetting,
  InvalidInput,
  DataDirectoryInUse,
  SecretError,
  StorageError,
  UnreadableCopy,
  UnknownMigrations,
]

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (cause: unknown) => {
    const isExpected = expected.some((kind) => cause instanceof kind)
    const text = cause instanceof Error ? (isExpected ? cause.message : (cause.stack ?? cause.message)) : String(cause)
    process.stderr.write(`${text}\n`)
    process.exit(1)
  },
)
