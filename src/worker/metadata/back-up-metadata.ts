import { readFile } from 'node:fs/promises'
import { copyOut } from '../../database/copy/out.ts'
import type { Handler, JobRun, Outcome } from '../../job/handler.ts'
import { readBackArtifact, writeArtifact } from '../../storage/artifact.ts'
import type { Storage } from '../../storage/contract.ts'
import { metadataHeaderKey, metadataKey, metadataPrefix, writeMetadataHeader } from '../../storage/metadata-copies.ts'
import { checkVault } from '../../storage/vault-layout.ts'
import { recordMetadataBackup, recordMetadataFailure } from '../../vault/metadata/record.ts'
import type { Vault } from '../../vault/vault.ts'
import { version } from '../../version.ts'
import { type Attempts, sweepAttempts, writeOrNothing } from '../attempts.ts'
import { handlerDefaults, type WorkerContext } from '../context.ts'
import { WorkFailed } from '../failure.ts'
import { storageOf, vaultOf } from '../subjects.ts'
import { tidyCopies } from './tidy-copies.ts'
import { watchForOthers } from './watch-for-others.ts'

/** Backs up Holdfast's own metadata: one job writes one whole copy into a vault, or leaves nothing unfinished behind. */
export function backUpMetadataHandler(context: WorkerContext): Handler {
  return {
    ...handlerDefaults(context),
    perform: (run) => backUpMetadata(context, run),
    abandon: async (run) => sweepAttempts(run, await attemptsOf(context, run)),
    recordFailure: async (tx, { vaultId }, error) => {
      const failure = error === null ? 'The job was cancelled.' : `${error.code}: ${error.message}`
      await recordMetadataFailure(tx, { vaultId: vaultId ?? '', failure, now: await context.dueNow(tx) })
    },
  }
}

async function backUpMetadata(context: WorkerContext, run: JobRun): Promise<Outcome> {
  const vault = await vaultOf(context.database, run.job.vaultId ?? '')
  const storage = storageOf(context, vault)
  await checkVault(storage, { vaultId: vault.id, recipient: vault.recipient })
  const attempts = attemptsIn(storage, run)
  await sweepAttempts(run, attempts)
  const createdAt = await context.dueNow()
  const storedBytes = await writeOrNothing(run, attempts, (prefix) =>
    writeCopy(context, run, { vault, storage, prefix, createdAt }),
  )
  await run.confirm()
  // From here on the copy is there: what is done beside it does not undo it.
  const others = await watchForOthers(context, run, { storage, vault })
  await tidyCopies(context, run, storage).catch((cause: Error) => {
    run.signal.throwIfAborted()
    run.warn(`Old copies could not be removed: ${cause.message}`)
  })
  return {
    kind: 'completed',
    record: async (tx) => {
      await recordMetadataBackup(tx, { vaultId: vault.id, createdAt, storedBytes })
      await others.tell(tx)
    },
  }
}

/** Writes one whole copy, reads it back and then makes it count. Answers its stored size. */
async function writeCopy(
  context: WorkerContext,
  run: JobRun,
  { vault, storage, prefix, createdAt }: { vault: Vault; storage: Storage; prefix: string; createdAt: Date },
): Promise<number> {
  const { job, signal } = run
  const key = metadataKey(prefix)
  const keyFile = await keyFileOf(context)
  const onPlainBytes = (bytesDone: number) => run.progress({ bytesDone })
  const how = { recipients: [vault.recipient], compression: 'ZSTD', signal, onPlainBytes } as const
  const copy = {
    facts: { version, jobId: job.id, keyFile },
    signal,
    onRows: (rowsDone: number) => run.progress({ rowsDone }),
  }
  const digest = await run.subTask('Copy the metadata', () =>
    writeArtifact(storage, key, how, (sink) => copyOut(context.metadata.url, sink, copy)),
  )
  await run.subTask('Read back and compare', async () => {
    await readBackArtifact(storage, key, digest, { signal })
    const hasKeyFile = keyFile !== null
    const about = { vaultId: vault.id, jobId: job.id, version, createdAt: createdAt.toISOString(), hasKeyFile }
    await writeMetadataHeader(storage, prefix, { ...about, ...digest })
  })
  run.note('Copy', prefix)
  run.note('Key file', keyFile === null ? 'left out: passwords have to be set anew after a recovery' : 'in the copy')
  return digest.storedBytes
}

async function keyFileOf({ metadata: { keyFile } }: WorkerContext): Promise<string | null> {
  if (keyFile === null) return null
  const bytes = await readFile(keyFile).catch((cause: Error) => {
    throw new WorkFailed('SECRET_UNREADABLE', `The key file cannot be read: ${cause.message}`)
  })
  return bytes.toString('base64')
}

async function attemptsOf(context: WorkerContext, run: JobRun): Promise<Attempts> {
  return attemptsIn(storageOf(context, await vaultOf(context.database, run.job.vaultId ?? '')), run)
}

function attemptsIn(storage: Storage, { job }: JobRun): Attempts {
  return { storage, prefixOf: (attempt) => metadataPrefix({ ...job, attempt }), headerOf: metadataHeaderKey }
}
