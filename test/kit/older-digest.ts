import { createHash } from 'node:crypto'
import type { ArtifactDigest } from '../../src/storage/artifact.ts'

/** The digest of an artifact as version 0.3 and older recorded it. */
export function olderDigest({ storedBytes, storedSha256 }: ArtifactDigest, plain: Buffer): ArtifactDigest {
  const plainSha256 = createHash('sha256').update(plain).digest('hex')
  return { plainBytes: plain.length, plainSha256, storedBytes, storedSha256 }
}
