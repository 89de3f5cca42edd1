import { randomUUID } from 'node:crypto'
import { chmod, chown, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { directorySet } from '../src/storage/directory/file-set.ts'
import { lazyBucketSet, openFileSet } from '../src/storage/open-file-set.ts'
import { fileSetContract } from './kit/file-set-contract.ts'
import { hold } from './kit/hold.ts'
import { type Fault, startS3Server } from './kit/s3-server.ts'
import { put } from './kit/storage-contract.ts'
import { temporaryFolder } from './kit/temporary-folder.ts'

const never = new AbortController().signal
const confirmed = { signal: never, confirm: async () => {} }

async function directoryPlace(path: (root: string) => string, open: (root: string) => typeof directorySet) {
  const root = await temporaryFolder()
  const directory = path(root.path)
  return {
    set: (writer: Parameters<typeof directorySet>[1]) => open(root.path)(directory, writer),
    putOther: async (name: string, text: string) => {
      await mkdir(directory, { recursive: true })
      await writeFile(join(directory, name), text)
    },
    files: async () => {
      const names = await readdir(directory).catch(() => [])
      return Object.fromEntries(
        await Promise.all(names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')])),
      )
    },
    everything: async () => {
      const entries = await readdir(root.path, { recursive: true, withFileTypes: true })
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .toSorted()
    },
    [Symbol.asyncDispose]: () => root[Symbol.asyncDispose](),
  }
}

fileSetContract('a directory', () =>
  directoryPlace(
    (root) => join(root, 'restored files'),
    () => directorySet,
  ),
)

fileSetContract('a folder of a storage account in a directory', () =>
  directoryPlace(
    (root) => join(root, 'container', 'orders', 'today'),
    (root) => (_, writer) => openFileSet({ kind: 'DIRECTORY', path: root }, 'container/orders/today', writer),
  ),
)

const folder = 'exports/container/orders/today/'
const patience = { connectMs: 1000, idleMs: 500, attempts: 2 }

async function bucketPlace() {
  const server = await startS3Server()
  const location = server.location({ prefix: 'exports/' })
  return {
    server,
    set: (writer: Parameters<typeof directorySet>[1]) =>
      lazyBucketSet(location, 'container/orders/today', writer, patience),
    putOther: async (name: string, text: string) =>
      void server.store.objects.set(folder + name, {
        bytes: Buffer.from(text),
        sizeBytes: Buffer.byteLength(text),
        etag: '"x"',
        metadata: {},
      }),
    files: async () =>
      Object.fromEntries(
        [...server.store.objects]
          .filter(([key]) => key.startsWith(folder))
          .map(([key, { bytes }]) => [key.slice(folder.length), bytes.toString()]),
      ),
    everything: async () => server.everything(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

fileSetContract('a bucket', bucketPlace)

const writer = () => ({ id: randomUUID(), attempt: 1 })

const faults: [string, string, Fault][] = [
  [
    'PutObject',
    'an internal error',
    { kind: 'answer', answer: { status: 500, body: '<Error><Code>InternalError</Code></Error>' } },
  ],
  [
    'PutObject',
    'a busy store',
    { kind: 'answer', answer: { status: 503, body: '<Error><Code>SlowDown</Code></Error>' } },
  ],
  ['PutObject', 'a cut connection', { kind: 'cut' }],
  ['PutObject', 'a connection that stalls', { kind: 'stalled' }],
]

test.each(faults)('a set in a bucket outlives one %s that meets %s', async (operation, _what, fault) => {
  await using place = await bucketPlace()
  place.server.fail(operation, fault)
  const set = place.set(writer())
  await set.write('a.dump', put('a'), never)
  await set.commit('manifest.json', 'whole', confirmed)
  expect(await place.files()).toEqual({ 'a.dump': 'a', 'manifest.json': 'whole' })
})

test.each(faults)(
  'a set in a bucket whose every %s meets %s is not committed, and leaves nothing',
  async (operation, _what, fault) => {
    await using place = await bucketPlace()
    const set = place.set(writer())
    await set.write('a.dump', put('a'), never)
    place.server.fail(operation, fault, { times: 20 })
    await expect(set.commit('manifest.json', 'whole', confirmed)).rejects.toThrow()
    await set.discard()
    expect(await place.everything()).toEqual([])
  },
)

test('a mark whose answer was lost is taken for written, for it was', async () => {
  await using place = await bucketPlace()
  const set = place.set(writer())
  place.server.fail('PutObject', { kind: 'lost' }, { times: 2 })
  await set.commit('manifest.json', 'whole', confirmed)
  expect(await place.files()).toEqual({ 'manifest.json': 'whole' })
})

test('an upload that a killed attempt left unfinished is swept by the next one', async () => {
  await using place = await bucketPlace()
  const first = writer()
  place.server.store.uploads.set('left', { key: `${folder}a.dump`, metadata: {}, parts: new Map() })
  place.server.store.uploads.set('elsewhere', { key: 'exports/other/a.dump', metadata: {}, parts: new Map() })
  await place.set(first).removeEarlier()
  expect(await place.everything()).toHaveLength(2)
  await place.set({ ...first, attempt: 2 }).removeEarlier()
  expect(await place.everything()).toEqual(['exports/other/a.dump (unfinished)'])
})

test('a set in a folder of a bucket leaves alone those in the folders below it, and is not kept from its end by them', async () => {
  await using place = await bucketPlace()
  const first = writer()
  place.server.store.uploads.set('below', { key: `${folder}below/a.dump`, metadata: {}, parts: new Map() })
  const heir = place.set({ ...first, attempt: 2 })
  await heir.removeEarlier()
  expect(await place.everything()).toEqual([`${folder}below/a.dump (unfinished)`])
  await heir.write('a.dump', put('a'), never)
  await place.putOther('below/b.dump', 'of another restore')
  await heir.commit('manifest.json', 'whole', confirmed)
  expect(await place.files()).toEqual({ 'a.dump': 'a', 'below/b.dump': 'of another restore', 'manifest.json': 'whole' })
})

test('what an attempt that lost its job writes late makes way, and the job tries again', async () => {
  await using place = await bucketPlace()
  const first = writer()
  const [late, heir] = [place.set(first), place.set({ ...first, attempt: 2 })]
  await heir.removeEarlier()
  await late.write('a.dump', put('late'), never)
  await expect(heir.write('a.dump', put('heir'), never)).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
  expect(await place.files()).toEqual({})
})

test('an object that only shows an empty folder is no file', async () => {
  await using place = await bucketPlace()
  await place.putOther('', '')
  expect(await place.set(writer()).occupants()).toEqual([])
})

test('a set that cannot be made durable under its name is not left there', async () => {
  await using root = await temporaryFolder()
  const parent = join(root.path, 'parent')
  await mkdir(parent)
  if (process.getuid?.() === 0) await chown(parent, 65_534, 65_534)
  // Names can be made in it, and it cannot be opened to have them written.
  await chmod(parent, 0o300)
  const held = await hold(`
    import { directorySet } from './storage/directory/file-set.ts'
    if (process.getuid() === 0) process.seteuid(65534)
    const set = directorySet(${JSON.stringify(join(parent, 'restored'))}, { id: 'job', attempt: 1 })
    const options = { signal: new AbortController().signal, confirm: async () => {} }
    const outcome = await set.commit('manifest.json', '{}', options).then(() => 'done', ({ code }) => code)
    await set.discard()
    console.log(outcome)
  `)
  expect(held.said).toBe('STORAGE_PERMISSION_DENIED')
  await chmod(parent, 0o700)
  expect(await readdir(parent)).toEqual([])
})

test('a directory that is a file, or whose disk is not there, takes no set', async () => {
  await using root = await temporaryFolder()
  const path = join(root.path, 'file')
  await writeFile(path, 'mine')
  await expect(directorySet(path, writer()).occupants()).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' })
  const gone = openFileSet({ kind: 'DIRECTORY', path: join(root.path, 'not', 'mounted') }, 'container/today', writer())
  await expect(gone.write('a', put('a'), never)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  expect(await readdir(root.path)).toEqual(['file'])
})

test('no link leads out of a storage account', async () => {
  await using root = await temporaryFolder()
  await using elsewhere = await temporaryFolder()
  await symlink(elsewhere.path, join(root.path, 'container'))
  const set = openFileSet({ kind: 'DIRECTORY', path: root.path }, 'container/today', writer())
  await expect(set.write('a', put('a'), never)).rejects.toThrow(/symbolic link/)
  expect(await readdir(elsewhere.path)).toEqual([])
})
