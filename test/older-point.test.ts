import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { startMissingCopies } from '../src/recovery-point/copy/start-missing-copies.ts'
import { restoreAsFiles } from '../src/restore/as-files.ts'
import { readSealedJson } from '../src/storage/sealed-json.ts'
import { manifestKey } from '../src/storage/vault-layout.ts'
import { exportRecoveryKey } from '../src/vault/export-recovery-key.ts'
import { storageOf } from '../src/worker/subjects.ts'
import { createDatabase } from './kit/engine.ts'
import { makeOlder } from './kit/older-point.ts'
import { paste, shellBlocks } from './kit/paste.ts'
import { actor, pathOf, startService } from './kit/protected-server.ts'
import { addReplicaVault, copied, copiesOf, nameReplica } from './kit/replica.ts'
import { test } from './kit/test.ts'
import { artifactsOf, backedUp, backUpAgain, flipBit, verify } from './kit/verify.ts'

const sha256 = { plainSha256: expect.stringMatching(/^[0-9a-f]{64}$/) }
const gmac = {
  plainGmac: expect.stringMatching(/^[0-9a-f]{32}$/),
  plainGmacKey: expect.stringMatching(/^[0-9a-f]{64}$/),
}

describe('a recovery point of version 0.3', { timeout: 240_000 }, () => {
  test('is verified, restored and copied by its sha256, which the copy keeps; by hand too, beside newer ones', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const { database, secrets } = service
    await createDatabase(source, 'create table t as select i, md5(i::text) from generate_series(1, 20000) i')
    const made = await backedUp(service, source, folder)
    const { point, vault, vaultPath, instance } = made
    const manifestOf = (of: typeof point, within: typeof vault) =>
      readSealedJson(storageOf(service.context, within), manifestKey(of.prefix), {
        identity: secrets.open(within.sealedIdentity),
      })
    const today = await manifestOf(point, vault)
    expect(today).toMatchObject({
      format: 2,
      artifacts: [{ digest: gmac }, { digest: gmac }, { digest: gmac }],
    })
    await makeOlder(service, made)
    const [artifact = ''] = await artifactsOf(made)

    for (const level of ['READ_BACK', 'DECODED', 'RESTORED'] as const)
      expect(await verify(service, point, level)).toMatchObject({ status: 'COMPLETED', error: null })
    await flipBit(artifact)
    expect(await verify(service, point, 'DECODED')).toMatchObject({
      status: 'FAILED',
      error: { code: 'ARTIFACT_DAMAGED' },
    })
    await flipBit(artifact)
    expect(await verify(service, point, 'DECODED')).toMatchObject({ status: 'COMPLETED', error: null })

    const restored = await restoreAsFiles(database, {
      recoveryPointId: point.id,
      target: { kind: 'DIRECTORY', path: join(folder, 'restored') },
      databases: null,
      actor,
      now: new Date(),
    })
    expect(await service.ended(restored.id)).toMatchObject({ status: 'COMPLETED', error: null })

    const replica = await addReplicaVault(service, folder)
    await nameReplica(database, { vaultId: vault.id, replicaId: replica.id })
    await startMissingCopies(database, { now: new Date(), atMost: 10 })
    expect(await copied(database, point.id)).toMatchObject({ status: 'COMPLETED', error: null })
    const [copy] = await copiesOf(database, instance.id)
    if (!copy) throw new Error('There is no copy.')
    expect(await verify(service, copy, 'DECODED')).toMatchObject({ status: 'COMPLETED', error: null })
    const older = { format: 1, artifacts: [{ digest: sha256 }, { digest: sha256 }, { digest: sha256 }] }
    expect(await manifestOf(point, vault)).toMatchObject(older)
    expect(await manifestOf(copy, replica)).toMatchObject(older)

    const ofReplica = await checkedByHand({
      vaultPath: pathOf(replica),
      recoveryKey: secrets.open(replica.sealedIdentity),
    })
    expect(ofReplica).toEqual(['0001.dump: OK', '0002.dump: OK', 'globals.sql: OK'])
    const exported = await exportRecoveryKey(database, { vaultId: vault.id, secrets, actor, now: new Date() })
    expect(await checkedByHand({ vaultPath, ...exported })).toEqual(ofReplica)
    // A vault of before has the text of before, until something is backed up into it.
    await writeFile(join(vaultPath, 'RESTORE.md'), 'what version 0.3 wrote')
    await backUpAgain(service, instance)
    expect(await checkedByHand({ vaultPath, ...exported })).toEqual(ofReplica)

    async function checkedByHand({ vaultPath: path, recoveryKey }: { vaultPath: string; recoveryKey: string }) {
      const work = join(folder, `work ${crypto.randomUUID()}`)
      await mkdir(work)
      await writeFile(join(work, 'key'), `${recoveryKey}\n`)
      const [variables = '', ...steps] = shellBlocks(await readFile(join(path, 'RESTORE.md'), 'utf8'))
      const filledIn = variables
        .replace('/path/to/this/folder', `'${path}'`)
        .replace('/path/to/the/recovery-key.txt', `'${join(work, 'key')}'`)
        .replace('/path/to/a/new/empty/folder', `'${work}'`)
      const output = await paste([filledIn, ...steps.slice(0, 4)], { PATH: process.env.PATH ?? '' })
      expect(output).not.toMatch(/FAILED|error|no properly formatted/i)
      return output.match(/^(globals\.sql|\d+\.dump): OK$/gm)?.toSorted()
    }
  })
})
