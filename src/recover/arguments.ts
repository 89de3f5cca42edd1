import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { decodeIdentity } from '../secret/age-identity.ts'
import type { StorageLocation } from '../storage/open.ts'
import { checkBucket } from '../vault/check-bucket.ts'
import { RecoveryRefused } from './refused.ts'

export const usage = `npm run recover -- --vault /path/to/vault --recovery-key-file key.txt [--data-dir ./data]

  --vault PATH              the vault's directory; or, for one in a bucket:
  --bucket NAME [--prefix FOLDER] [--endpoint URL] [--region NAME] [--path-style true|false]
                            its access key is read from HOLDFAST_RECOVERY_ACCESS_KEY_ID and HOLDFAST_RECOVERY_SECRET_ACCESS_KEY
  --recovery-key-file FILE  holds the vault's recovery key, AGE-SECRET-KEY-1…; give it once for each vault where copies
                            were made without the key file
  --data-dir PATH           where the service is to be; HOLDFAST_DATA_DIR or ./data when left out
  --list                    only show which copies there are
  --at MOMENT               take the newest copy of that moment or before, as --list shows it, instead of the newest`

export interface Asked {
  location: StorageLocation
  /** Recovery keys: keep them out of every log and error. */
  identities: string[]
  dataDirectory: string | null
  isListing: boolean
  at: Date | null
}

/** Reads what was asked for; throws RecoveryRefused, with the usage, for what cannot be. */
export async function readArguments(
  words: readonly string[],
  accessKey: { accessKeyId: string; secretAccessKey: string } | null,
): Promise<Asked> {
  const given = parse(words)
  const keyFiles = given['recovery-key-file'] ?? []
  if (keyFiles.length === 0) throw asUsage('--recovery-key-file is missing.')
  const at = given.at === undefined ? null : new Date(given.at)
  if (at && Number.isNaN(at.getTime()))
    throw asUsage(`--at "${given.at}" is not a moment such as 2026-03-01T12:00:00Z.`)
  return {
    location: locationOf(given, accessKey),
    identities: await Promise.all(keyFiles.map(identityIn)),
    dataDirectory: given['data-dir'] ?? null,
    isListing: given.list ?? false,
    at,
  }
}

function parse(words: readonly string[]) {
  try {
    const text = { type: 'string' } as const
    const options = {
      vault: text,
      bucket: text,
      prefix: text,
      endpoint: text,
      region: text,
      'path-style': text,
      'recovery-key-file': { type: 'string', multiple: true },
      'data-dir': text,
      list: { type: 'boolean' },
      at: text,
    } as const
    return parseArgs({ args: [...words], options, strict: true }).values
  } catch (cause) {
    throw asUsage(cause instanceof Error ? cause.message : String(cause))
  }
}

function locationOf(
  { vault, bucket, prefix, endpoint, region = 'us-east-1', 'path-style': pathStyle }: ReturnType<typeof parse>,
  accessKey: { accessKeyId: string; secretAccessKey: string } | null,
): StorageLocation {
  if ((vault === undefined) === (bucket === undefined)) throw asUsage('Give either --vault or --bucket.')
  if (vault !== undefined) return { kind: 'DIRECTORY', path: resolve(vault) }
  if (!accessKey) throw asUsage('Set HOLDFAST_RECOVERY_ACCESS_KEY_ID and HOLDFAST_RECOVERY_SECRET_ACCESS_KEY.')
  const isPathStyle = pathStyle === undefined ? null : pathStyle === 'true'
  return {
    kind: 'S3',
    ...checkBucket(
      {
        bucket: bucket ?? '',
        prefix: prefix ?? null,
        endpoint: endpoint ?? null,
        region,
        pathStyle: isPathStyle,
        ...accessKey,
      },
      '--',
    ),
  }
}

async function identityIn(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause: Error) => {
    throw new RecoveryRefused(`The recovery key cannot be read: ${cause.message}`)
  })
  // The whole answer of exportRecoveryKey is as good as the key alone; what is none is refused by what reads it.
  const identity = /AGE-SECRET-KEY-1[0-9A-Z]+/.exec(text)?.[0] ?? text.trim()
  decodeIdentity(identity)
  return identity
}

function asUsage(message: string): RecoveryRefused {
  return new RecoveryRefused(`${message}\n\n${usage}`)
}
