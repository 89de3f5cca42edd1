import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect } from 'vitest'
import { type Holdfast, startHoldfast } from '../bench/kit/holdfast.ts'
import { generateIdentity } from '../src/secret/age-identity.ts'
import { at, listAt, textAt } from './kit/api.ts'
import { runSql } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const program = fileURLToPath(new URL('../src/recover/main.ts', import.meta.url))

function start(words: readonly string[]): ChildProcess {
  return spawn(process.execPath, [program, ...words], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs the program to its end. */
async function recover(...words: string[]): Promise<{ code: number | null; said: string }> {
  const child = start(words)
  if (!child.stdout || !child.stderr) throw new Error('no output')
  const exit = once(child, 'exit')
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  await exit
  return { code: child.exitCode, said: out + errors }
}

interface Machine {
  folder: string
  vaultPath: string
  keyFile: string
}

async function mutate(service: Holdfast, name: string, input: object, selection: string): Promise<unknown> {
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}`
  const answer = await service.ask(
    `mutation ($input: ${type}Input!) { ${name}(input: $input) { ... on ${type}Payload { ${selection} } ... on Refusal { message } } }`,
    { input },
  )
  return at(answer, name)
}

/** One copy of the metadata in the vault: one that the service has begun by itself meanwhile does as well. */
async function copyMetadata(service: Holdfast, vault: unknown): Promise<void> {
  const { backUpMetadata } = await service.ask(
    `mutation ($input: BackUpMetadataInput!) { backUpMetadata(input: $input) {
      ... on BackUpMetadataPayload { job { id } } ... on MetadataBackupAlreadyRunning { job: runningJob { id } }
    } }`,
    { input: { vault } },
  )
  await service.ended(textAt(backUpMetadata, 'job.id'))
}

const vaultQuery = '{ vaults { nodes { id directory metadataBackup { isOn isOverdue lastBackedUpAt } } } }'

describe('a machine that died', () => {
  test('comes back from its vault and recovery key alone: points, passwords, backups and restores', async ({
    folder,
    source,
  }) => {
    await runSql(source, 'postgres', 'create table if not exists kept as select n from generate_series(1, 100) n')
    const machine: Machine = { folder, vaultPath: join(folder, 'vault'), keyFile: join(folder, 'key.txt') }
    {
      await using before = await startHoldfast(join(folder, 'old'))
      const instance = await before.protect(source, machine.vaultPath)
      const vault = listAt(await before.ask(vaultQuery), 'vaults.nodes')[0]?.id
      await before.backUp(instance)
      const key = textAt(await mutate(before, 'exportRecoveryKey', { vault }, 'recoveryKey'), 'recoveryKey')
      await writeFile(machine.keyFile, JSON.stringify({ data: { exportRecoveryKey: { recoveryKey: key } } }))
      await waitFor(
        'the copy that is made by itself',
        async () => at(listAt(await before.ask(vaultQuery), 'vaults.nodes')[0], 'metadataBackup.lastBackedUpAt'),
        { withinMs: 40_000 },
      )
      await copyMetadata(before, vault)
      // After the copy, as bad luck will have it.
      await before.backUp(instance)
    }
    await rm(join(folder, 'old'), { recursive: true })
    const moved = join(folder, 'mounted elsewhere')
    await rename(machine.vaultPath, moved)

    const data = join(folder, 'new', 'data')
    const { code, said } = await recover('--vault', moved, '--recovery-key-file', machine.keyFile, '--data-dir', data)
    expect(said).toContain('newer than the copy: 1.')
    expect(code, said).toBe(0)
    expect((await stat(join(data, 'secret.key'))).mode & 0o777).toBe(0o600)
    expect((await readdir(data)).filter((name) => name.includes('recovery'))).toEqual([])

    await using after = await startHoldfast(join(folder, 'new'))
    const answer = await after.ask(
      '{ vaults { nodes { directory } } recoveryPoints { nodes { id proof contents { databases { name } } } } backupInstances { nodes { id state server { id } } } }',
    )
    expect(listAt(answer, 'vaults.nodes')).toEqual([{ directory: moved }])
    const [point, ...others] = listAt(answer, 'recoveryPoints.nodes')
    expect(others).toEqual([])
    const [instance] = listAt(answer, 'backupInstances.nodes')
    expect(instance?.state).toBe('PROTECTION_CONFIGURED')
    const target = { directory: join(folder, 'restored') }
    const restored = await mutate(after, 'restoreAsFiles', { recoveryPoint: point?.id, target }, 'job { id }')
    await after.ended(textAt(restored, 'job.id'))
    expect(await readdir(target.directory)).toContain('RESTORE.md')
    // With the server's password as it was.
    await after.backUp(String(instance?.id))
    expect(listAt(await after.ask('{ recoveryPoints { nodes { id } } }'), 'recoveryPoints.nodes')).toHaveLength(2)
    await copyMetadata(after, listAt(await after.ask(vaultQuery), 'vaults.nodes')[0]?.id)
    // A recovery never writes over a service.
    const again = await recover('--vault', moved, '--recovery-key-file', machine.keyFile, '--data-dir', data)
    expect(again).toMatchObject({ code: 1 })
    expect(again.said).toMatch(/in use|not empty/)
  }, 240_000)

  test('is told when the key is wrong, a copy damaged, made by a newer version, or the recovery broken off', async ({
    folder,
    source,
  }) => {
    const machine: Machine = { folder, vaultPath: join(folder, 'vault'), keyFile: join(folder, 'key.txt') }
    {
      await using before = await startHoldfast(join(folder, 'old'))
      await before.protect(source, machine.vaultPath)
      const vault = listAt(await before.ask(vaultQuery), 'vaults.nodes')[0]?.id
      const key = textAt(await mutate(before, 'exportRecoveryKey', { vault }, 'recoveryKey'), 'recoveryKey')
      await writeFile(machine.keyFile, key)
      await copyMetadata(before, vault)
    }
    const copies = join(machine.vaultPath, 'metadata')
    const older = (await readdir(copies)).sort().at(-1) ?? ''
    // A second copy: the first one again, a day later, so that both can be opened.
    const newer = join(copies, `29990101T000000Z.${crypto.randomUUID()}.1`)
    await mkdir(newer)
    const header = await readFile(join(copies, older, 'metadata.json'), 'utf8')
    const writeNewer = async (bytes: Buffer, change = (textOf: string) => textOf) => {
      await writeFile(join(newer, 'metadata.sql.zst.age'), bytes)
      await writeFile(
        join(newer, 'metadata.json'),
        change(header.replace(/"createdAt": ".*?"/, '"createdAt": "2999-01-01T00:00:00.000Z"')),
      )
    }
    const bytes = await readFile(join(copies, older, 'metadata.sql.zst.age'))
    await writeNewer(bytes)
    const data = join(folder, 'new', 'data')
    const how = ['--vault', machine.vaultPath, '--recovery-key-file', machine.keyFile, '--data-dir', data]

    const wrongKey = join(folder, 'wrong.txt')
    await writeFile(wrongKey, generateIdentity().identity)
    const refused = await recover('--vault', machine.vaultPath, '--recovery-key-file', wrongKey, '--data-dir', data)
    expect(refused).toMatchObject({ code: 1, said: expect.stringContaining('is not that of this vault') })

    const listed = await recover(...how, '--list')
    expect(listed.said.match(/bytes, Holdfast/g)).toHaveLength(2)

    const ofLater = await recover(...how)
    const choices =
      /dated 2999-01-01T.* may be older than others.*by --at 2999-01-01T.*Take the one of 20\d\d.* by --at 20/
    expect(ofLater).toMatchObject({ code: 1, said: expect.stringMatching(choices) })

    const flipped = Buffer.from(bytes)
    flipped[flipped.length - 20] = (flipped[flipped.length - 20] ?? 0) ^ 1
    await writeNewer(flipped)
    const damaged = await recover(...how, '--at', '2999-01-01T00:00:00.000Z')
    expect(damaged).toMatchObject({ code: 1, said: expect.stringMatching(/copy of 2999-.* is damaged.*--at 20/) })
    await writeNewer(bytes, (each) => each.replace('"holdfast-metadata"', '"something"'))
    expect((await recover(...how)).said).toMatch(/header of metadata\/2999.* is damaged.*--at 20/)
    await writeNewer(bytes, (each) => each.replace('2999-01-01T', '2999-01-1xT'))
    expect((await recover(...how)).said).toMatch(/header of metadata\/2999.* is damaged.*--at 20/)

    // Killed while the database is being filled: nothing starts there, and the same command ends what was begun.
    const killed = start([...how, '--at', '2900-01-01T00:00:00Z'])
    await waitFor(
      'the database to be there',
      () => stat(join(data, 'metadata', 'postmaster.pid')).catch(() => undefined),
      { withinMs: 60_000 },
    )
    const exit = once(killed, 'exit')
    killed.kill('SIGKILL')
    await exit
    expect(await readdir(data)).toContain('recovery-unfinished')
    await expect(startHoldfast(join(folder, 'new'))).rejects.toThrow('Holdfast ended')
    const ended = await recover(...how, '--at', '2900-01-01T00:00:00Z')
    expect(ended.code, ended.said).toBe(0)
    await using after = await startHoldfast(join(folder, 'new'))
    expect(listAt(await after.ask('{ backupInstances { nodes { state } } }'), 'backupInstances.nodes')).toEqual([
      { state: 'PROTECTION_CONFIGURED' },
    ])
  }, 240_000)
})
