import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, rmdir, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { directoryStorage } from '../src/storage/directory.ts'
import { describeStorage, put } from './kit/storage-contract.ts'

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name)
}

describeStorage('directory', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-vault-'))
  return {
    storage: directoryStorage(folder),
    everything: () => filesBelow(folder),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
})

describe('a directory', () => {
  let outer: string
  let root: string
  beforeEach(async () => {
    outer = await mkdtemp(join(tmpdir(), 'holdfast-vault-'))
    root = join(outer, 'vault')
    await mkdir(root, { mode: 0o700 })
  })
  afterEach(() => rm(outer, { recursive: true }))

  const openFiles = async () => (await readdir('/proc/self/fd')).length

  test('keeps files and folders for their owner alone', async () => {
    await directoryStorage(root).write('points/one/object', put('x'))
    expect((await stat(join(root, 'points'))).mode & 0o777).toBe(0o700)
    expect((await stat(join(root, 'points/one'))).mode & 0o777).toBe(0o700)
    expect((await stat(join(root, 'points/one/object'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(root, 'points/one/object'))).nlink).toBe(1)
  })

  test('whose folder is missing is unreachable for every operation, and is not made again', async () => {
    const storage = directoryStorage(root)
    await storage.write('points/object', put('x'))
    await rename(root, join(outer, 'unmounted'))
    const operations = [
      () => storage.write('points/other', put('x')),
      () => storage.read('points/object'),
      () => storage.size('points/object'),
      () => Array.fromAsync(storage.list('')),
      () => Array.fromAsync(storage.list('points/')),
      () => storage.remove('points/object'),
      () => storage.removeAll('points/'),
      () => storage.probe(),
      () => storage.freeBytes(),
    ]
    for (const operation of operations)
      await expect(operation()).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE', subject: root })
    expect(await readdir(outer)).toEqual(['unmounted'])
  })

  test('whose folder is a file is unreachable', async () => {
    await rmdir(root)
    await writeFile(root, '')
    await expect(Array.fromAsync(directoryStorage(root).list(''))).rejects.toMatchObject({
      code: 'STORAGE_UNREACHABLE',
    })
    await expect(directoryStorage(root).prepare()).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  })

  test('is prepared by making its folder, when the folder above it is there', async () => {
    await directoryStorage(join(root, 'new')).prepare()
    expect((await stat(join(root, 'new'))).mode & 0o777).toBe(0o700)
    const tooDeep = directoryStorage(join(root, 'missing/new'))
    await expect(tooDeep.prepare()).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    expect(await readdir(root)).toEqual(['new'])
  })

  test('whose disk is swapped while it is listed says so instead of listing less', async () => {
    const storage = directoryStorage(root)
    await storage.write('points/a', put('x'))
    await storage.write('points/b', put('x'))
    const objects = storage.list('')
    expect((await objects[Symbol.asyncIterator]().next()).value).toEqual({ key: 'points/a', sizeBytes: 1 })
    await rename(root, join(outer, 'unmounted'))
    await mkdir(root)
    await expect(Array.fromAsync(objects)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
  })

  test('follows no symbolic link inside it', async () => {
    const storage = directoryStorage(root)
    const outside = join(outer, 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'object'), 'not ours')
    await symlink(outside, join(root, 'linked'))
    await symlink(join(outside, 'object'), join(root, 'object'))
    await mkdir(join(root, 'folder'))
    await symlink(outside, join(root, 'folder/linked'))
    const refused = { code: 'STORAGE_FAILED', message: expect.stringContaining('symbolic link') }
    await expect(storage.read('linked/object')).rejects.toMatchObject(refused)
    await expect(storage.read('object')).rejects.toMatchObject(refused)
    await expect(storage.size('object')).rejects.toMatchObject(refused)
    await expect(storage.write('linked/new', put('x'))).rejects.toMatchObject(refused)
    await expect(storage.write('object', put('x'))).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' })
    await expect(storage.remove('linked/object')).rejects.toMatchObject(refused)
    await expect(storage.removeAll('linked/deeper/')).rejects.toMatchObject(refused)
    await expect(Array.fromAsync(storage.list('linked/'))).rejects.toMatchObject(refused)
    expect(await Array.fromAsync(storage.list(''))).toEqual([])
    await storage.removeAll('folder/')
    await storage.removeAll('linked/')
    expect(await readdir(outside)).toEqual(['object'])
  })

  test('closes every file, in success and in failure', async () => {
    const storage = directoryStorage(root)
    await storage.write('object', put(Buffer.alloc(3_000_000)))
    const before = await openFiles()
    for (let round = 0; round < 20; round++) {
      const abort = new AbortController()
      await expect(storage.write('object', put('x'))).rejects.toThrow()
      await expect(storage.write('failing', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
      const hanging = async () => {
        abort.abort()
        await Promise.withResolvers().promise
      }
      await expect(storage.write('aborted', hanging, { signal: abort.signal })).rejects.toThrow()
      const half = await storage.read('object')
      await once(half, 'readable')
      half.destroy()
      await once(half, 'close')
      await expect(storage.read('missing')).rejects.toThrow()
      await storage.probe()
    }
    expect(await openFiles()).toBe(before)
  })

  test('hides what it did not write, and removes it with its folder', async () => {
    const storage = directoryStorage(root)
    await storage.write('points/one/object', put('x'))
    await writeFile(join(root, 'points/one/.partial-1'), 'left by a crash')
    await writeFile(join(root, 'points/one/notes of mine.txt'), 'foreign')
    await mkdir(join(root, 'lost+found'))
    expect(await Array.fromAsync(storage.list(''))).toEqual([{ key: 'points/one/object', sizeBytes: 1 }])
    await storage.removeAll('points/one/')
    expect(await readdir(join(root, 'points'))).toEqual([])
  })

  test('whose writer is killed has no object, and what is left goes with the folder', async () => {
    const script = `
      import { directoryStorage } from ${JSON.stringify(join(import.meta.dirname, '../src/storage/directory.ts'))}
      await directoryStorage(${JSON.stringify(root)}).write('points/one/object', async (sink) => {
        await new Promise((resolve) => sink.write(Buffer.alloc(5_000_000), resolve))
        console.log('half')
        setInterval(() => undefined, 1000)
        await new Promise(() => undefined)
      })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'close')
    const storage = directoryStorage(root)
    expect(await Array.fromAsync(storage.list(''))).toEqual([])
    expect(await storage.size('points/one/object')).toBeUndefined()
    expect(await filesBelow(root)).toHaveLength(1)
    await storage.write('points/one/object', put('second attempt'))
    await storage.removeAll('points/one/')
    expect(await filesBelow(root)).toEqual([])
  })

  test('that the user may not write to or read says so', async ({ skip }) => {
    if (process.getuid?.() === 0) skip('root may do everything; the immutable folder below stands for it')
    await chmod(root, 0o500)
    await expect(directoryStorage(root).write('object', put('x'))).rejects.toMatchObject({
      code: 'STORAGE_PERMISSION_DENIED',
    })
    await chmod(root, 0o700)
  })
})

/** Whether this machine lets us mount a small file system of our own. */
function mayMount(): boolean {
  if (process.getuid?.() !== 0 || process.platform !== 'linux') return false
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe.skipIf(!mayMount())('a directory on a file system of its own', () => {
  let root: string
  const mount = (...args: string[]) => execFileSync('mount', args)
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'holdfast-mount-'))
    mount('-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', root)
  })
  afterEach(async () => {
    execFileSync('umount', [root])
    await rmdir(root)
  })

  test('that is full says so, leaves nothing, and takes what fits afterwards', async () => {
    const storage = directoryStorage(root)
    const write = storage.write('points/object', async (sink) => {
      for (let piece = 0; piece < 64; piece++)
        await new Promise<void>((resolve, reject) =>
          sink.write(Buffer.alloc(65_536), (error) => (error ? reject(new Error('The pipe broke')) : resolve())),
        )
    })
    await expect(write).rejects.toMatchObject({ code: 'STORAGE_FULL', subject: 'points/object' })
    expect(await filesBelow(root)).toEqual([])
    await storage.write('points/object', put(Buffer.alloc(500_000)))
    expect(await storage.size('points/object')).toBe(500_000)
    expect(await storage.freeBytes()).toBeLessThan(600_000)
  })

  test('that fills up on the last bytes says so', async () => {
    const write = directoryStorage(root).write('object', put(Buffer.alloc(3_000_000)))
    await expect(write).rejects.toMatchObject({ code: 'STORAGE_FULL' })
    expect(await filesBelow(root)).toEqual([])
  })

  test('that is read-only says so, can be read, and says that it cannot remove', async () => {
    const storage = directoryStorage(root)
    await storage.write('points/object', put('x'))
    mount('-o', 'remount,ro', root)
    const readOnly = { code: 'STORAGE_READ_ONLY' }
    await expect(storage.write('points/other', put('x'))).rejects.toMatchObject(readOnly)
    await expect(storage.write('new/other', put('x'))).rejects.toMatchObject(readOnly)
    await expect(storage.probe()).rejects.toMatchObject(readOnly)
    await expect(storage.remove('points/object')).rejects.toMatchObject(readOnly)
    await expect(storage.removeAll('points/')).rejects.toMatchObject(readOnly)
    expect(await storage.size('points/object')).toBe(1)
  })

  test('that is taken away is unreachable when its folder is gone with it', async () => {
    const storage = directoryStorage(join(root, 'vault'))
    await storage.prepare()
    await storage.write('object', put('x'))
    execFileSync('umount', [root])
    await expect(Array.fromAsync(storage.list(''))).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    await expect(storage.write('other', put('x'))).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE' })
    expect(await readdir(root)).toEqual([])
    mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', root)
  })

  test('that the file system forbids to change is a refused permission', async ({ skip }) => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-immutable-'))
    try {
      execFileSync('chattr', ['+i', folder], { stdio: 'ignore' })
    } catch {
      await rmdir(folder)
      skip('no immutable folders on this file system')
    }
    try {
      await expect(directoryStorage(folder).write('object', put('x'))).rejects.toMatchObject({
        code: 'STORAGE_PERMISSION_DENIED',
      })
    } finally {
      execFileSync('chattr', ['-i', folder])
      await rmdir(folder)
    }
  })
})
