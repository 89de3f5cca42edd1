import type { Storage } from '../../src/storage/contract.ts'
import type { SealedDigest } from '../../src/storage/sealed-json.ts'
import { type WritePointHeader, writeManifest, writePointHeader } from '../../src/storage/vault-layout.ts'

/** Writes a point's manifest and then its header, as a backup does when all else lies there. */
export async function writePointEnd(
  storage: Storage,
  prefix: string,
  { recipients, manifest, ...end }: { recipients: string[]; manifest: unknown } & Omit<WritePointHeader, 'manifest'>,
): Promise<SealedDigest> {
  const sealed = await writeManifest(storage, prefix, { recipients, manifest })
  await writePointHeader(storage, prefix, { ...end, manifest: sealed })
  return sealed
}
