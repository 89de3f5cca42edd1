import { buffer } from 'node:stream/consumers'
import { openPoint } from '../../src/worker/point/read-point.ts'
import { olderDigest } from './older-digest.ts'
import type { Service } from './protected-server.ts'
import { type BackedUp, pointNow, rewriteManifest } from './verify.ts'

/** Makes a point one of version 0.3 or older: its manifest is of format 1, with the sha256 of the plain bytes. */
export async function makeOlder(service: Service, { point, vault }: Pick<BackedUp, 'point' | 'vault'>): Promise<void> {
  const { signal } = new AbortController()
  const { manifest, open } = await openPoint(service.context, { point, vault, signal })
  const artifacts = await Promise.all(
    manifest.artifacts.map(async (artifact) => {
      const plain = await buffer(await open(artifact, signal, () => {}))
      return { ...artifact, digest: olderDigest(artifact.digest, plain) }
    }),
  )
  await rewriteManifest(service, { point, vault }, (written) => Object.assign(written, { format: 1, artifacts }))
  Object.assign(point, await pointNow(service, point))
}
