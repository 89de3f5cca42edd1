import { randomBytes } from 'node:crypto'
import type { Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Storage } from '../../src/storage/contract.ts'

/** An empty place of one kind of storage, ready to use and gone after disposal. */
export interface StoragePlace extends AsyncDisposable {
  storage: Storage
  /** Names of everything that physically lies there, half-written objects too. */
  everything(): Promise<string[]>
}

/** What every kind of storage promises. Each kind runs this suite on empty places of its own. */
export function describeStorage(kind: string, openPlace: () => Promise<StoragePlace>): void {
  describe(`a ${kind}`, () => {
    let place: StoragePlace
    let storage: Storage
    beforeEach(async () => {
      place = await openPlace()
      storage = place.storage
    })
    afterEach(() => place[Symbol.asyncDispose]())

    const read = async (key: string, range = {}) => (await buffer(await storage.read(key, range))).toString('latin1')
    const list = async (prefix: string) => await Array.fromAsync(storage.list(prefix))

    test.each([0, 1, 65_536, 5_000_000])('gives back the %i bytes that were written', async (sizeBytes) => {
      const bytes = randomBytes(sizeBytes)
      await storage.write('points/one/object', put(bytes))
      expect(await storage.size('points/one/object')).toBe(sizeBytes)
      expect((await buffer(await storage.read('points/one/object'))).equals(bytes)).toBe(true)
    })

    test('keeps many small pieces in their order and waits for a slow place', async () => {
      const pieces = Array.from({ length: 5000 }, (_, position) => Buffer.from(`${position},`))
      let waits = 0
      await storage.write('object', async (sink) => {
        for (const piece of pieces)
          if (!sink.write(piece)) {
            waits += 1
            await new Promise((resolve) => sink.once('drain', resolve))
          }
        for (let megabyte = 0; megabyte < 16; megabyte++)
          if (!sink.write(Buffer.alloc(1024 * 1024))) {
            waits += 1
            await new Promise((resolve) => sink.once('drain', resolve))
          }
      })
      const text = Buffer.concat(pieces).toString()
      expect(await read('object', { start: 0, end: text.length })).toBe(text)
      expect(waits).toBeGreaterThan(0)
    })

    test('shows nothing of an object before it is whole', async () => {
      await storage.write('folder/object', async (sink) => {
        await new Promise((resolve) => sink.write('half', resolve))
        expect(await storage.size('folder/object')).toBeUndefined()
        expect(await list('')).toEqual([])
        await expect(storage.read('folder/object')).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING' })
        sink.end('whole')
      })
      expect(await read('folder/object')).toBe('halfwhole')
    })

    test('never overwrites', async () => {
      await storage.write('object', put('first'))
      let filled = false
      const second = storage.write('object', async (sink) => {
        filled = true
        sink.end('second')
      })
      await expect(second).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS', subject: 'object' })
      expect(filled).toBe(false)
      expect(await read('object')).toBe('first')
    })

    test('replaces an object by other bytes, whether there are more of them or fewer, and leaves nothing beside it', async () => {
      await storage.write('object', put('first'))
      for (const bytes of [randomBytes(300_000), Buffer.from('x'), Buffer.alloc(0)]) {
        await storage.replace('object', bytes)
        expect((await buffer(await storage.read('object'))).equals(bytes)).toBe(true)
        expect(await storage.size('object')).toBe(bytes.length)
      }
      expect(await place.everything()).toEqual(['object'])
    })

    test('gives a reader the whole old object or the whole new one while it is replaced', async () => {
      const contents = ['a', 'b'].map((letter) => letter.repeat(200_000))
      await storage.write('object', put(contents[0] ?? ''))
      const replacing = (async () => {
        for (let turn = 1; turn <= 10; turn++) await storage.replace('object', Buffer.from(contents[turn % 2] ?? ''))
      })()
      for (let turn = 1; turn <= 10; turn++) expect(contents).toContain(await read('object'))
      await replacing
      expect(await read('object')).toBe(contents[0])
    })

    test('replaces nothing that is not there', async () => {
      await storage.write('object', put('x'))
      for (const key of ['other', 'nowhere/object']) {
        const replaced = storage.replace(key, Buffer.from('y'))
        await expect(replaced).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING', subject: key })
      }
      expect(await place.everything()).toEqual(['object'])
    })

    test('of writers that race for one key lets exactly one win', async () => {
      const writers = Array.from({ length: 8 }, (_, position) => `writer ${position}`)
      const { promise: allStarted, resolve: start } = Promise.withResolvers<void>()
      let started = 0
      const ends = await Promise.allSettled(
        writers.map((writer) =>
          storage.write('object', async (sink) => {
            started += 1
            if (started === writers.length) start()
            await allStarted
            sink.end(writer)
          }),
        ),
      )
      const winners = ends.flatMap((end, position) => (end.status === 'fulfilled' ? [writers[position]] : []))
      expect(winners).toEqual([await read('object')])
      for (const end of ends)
        if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' })
      expect(await place.everything()).toEqual(['object'])
    })

    test('leaves nothing when filling fails, and throws what made it fail', async () => {
      const failure = new Error('pg_dump died')
      const write = storage.write('folder/object', async (sink) => {
        await new Promise((resolve) => sink.write(randomBytes(300_000), resolve))
        throw failure
      })
      await expect(write).rejects.toBe(failure)
      expect(await storage.size('folder/object')).toBeUndefined()
      expect(await place.everything()).toEqual([])
    })

    test('leaves nothing when the sink is destroyed before its end', async () => {
      const destroyed = storage.write('object', async (sink) => void sink.destroy())
      await expect(destroyed).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
      const halfWritten = storage.write('object', async (sink) => {
        await new Promise((resolve) => sink.write('half', resolve))
        sink.destroy()
      })
      await expect(halfWritten).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
      expect(await place.everything()).toEqual([])
    })

    test('leaves nothing when it is aborted, and does not wait for a writer that hangs', async () => {
      const abort = new AbortController()
      const reason = new Error('cancelled by the operator')
      const { promise: never } = Promise.withResolvers<void>()
      const write = storage.write(
        'folder/object',
        async (sink) => {
          await new Promise((resolve) => sink.write(randomBytes(300_000), resolve))
          abort.abort(reason)
          await never
        },
        { signal: abort.signal },
      )
      await expect(write).rejects.toBe(reason)
      expect(await place.everything()).toEqual([])
      await expect(storage.write('object', put('x'), { signal: abort.signal })).rejects.toBe(reason)
      expect(await place.everything()).toEqual([])
    })

    test('lets a key be written again after a failure and after a removal', async () => {
      await expect(storage.write('object', () => Promise.reject(new Error('once')))).rejects.toThrow('once')
      await storage.write('object', put('second'))
      await storage.remove('object')
      await storage.write('object', put('third'))
      expect(await read('object')).toBe('third')
    })

    test('reads any part of an object, as far as there are bytes', async () => {
      await storage.write('object', put('0123456789'))
      expect(await read('object', { start: 2, end: 5 })).toBe('234')
      expect(await read('object', { start: 7 })).toBe('789')
      expect(await read('object', { end: 3 })).toBe('012')
      expect(await read('object', { start: 4, end: 4 })).toBe('')
      expect(await read('object', { start: 8, end: 100 })).toBe('89')
      expect(await read('object', { start: 10 })).toBe('')
    })

    test('stops a read when it is aborted', async () => {
      await storage.write('object', put(randomBytes(8_000_000)))
      const abort = new AbortController()
      const reason = new Error('cancelled')
      const source = await storage.read('object', { signal: abort.signal })
      const reading = buffer(source)
      source.once('data', () => abort.abort(reason))
      await expect(reading).rejects.toBe(reason)
    })

    test('says that an object is missing', async () => {
      await storage.write('folder/object', put('x'))
      for (const key of ['other', 'folder/other', 'nowhere/object', 'folder/object/below']) {
        await expect(storage.read(key)).rejects.toMatchObject({ code: 'STORAGE_OBJECT_MISSING', subject: key })
        expect(await storage.size(key)).toBeUndefined()
      }
    })

    test('lists what is below a folder, with sizes, in the order of the keys', async () => {
      const keys = ['a-b', 'a.b', 'a/1', 'a/2/x', 'a/2-x', 'a/10', 'a0', 'aa/1', 'B', 'points/z', 'z']
      for (const key of keys) await storage.write(key, put(key))
      const listed = (await list('')).map(({ key }) => key)
      expect(listed).toEqual(keys.toSorted())
      expect(await list('a/')).toEqual([
        { key: 'a/1', sizeBytes: 3 },
        { key: 'a/10', sizeBytes: 4 },
        { key: 'a/2-x', sizeBytes: 5 },
        { key: 'a/2/x', sizeBytes: 5 },
      ])
      expect(await list('nothing/here/')).toEqual([])
    })

    test('removes an object, and removing again changes nothing', async () => {
      await storage.write('folder/object', put('x'))
      await storage.write('folder/other', put('y'))
      await storage.remove('folder/object')
      await storage.remove('folder/object')
      await storage.remove('never/there')
      expect((await list('')).map(({ key }) => key)).toEqual(['folder/other'])
    })

    test('removes a folder with all that is below it and nothing beside it', async () => {
      const keys = ['points/1/a', 'points/1/deep/b', 'points/10/a', 'points/2', 'points-1']
      for (const key of keys) await storage.write(key, put(key))
      await storage.removeAll('points/1/')
      await storage.removeAll('points/1/')
      expect((await list('')).map(({ key }) => key)).toEqual(['points-1', 'points/10/a', 'points/2'])
    })

    test.each([
      ...['', '/', '/etc/passwd', 'a//b', 'a/', '/a', '.', '..', '../a', 'a/../b', 'a/./b', '.hidden', 'a/.hidden'],
      ...[
        'a b',
        'a\nb',
        'a\0b',
        'a\\b',
        'ä',
        'a%2e',
        'C:',
        '-rf',
        '~',
        'a/..',
        `${'x'.repeat(201)}`,
        'ab/'.repeat(400),
      ],
    ])('refuses the key %j', async (key) => {
      const refused = { code: 'STORAGE_KEY_INVALID' }
      await expect(storage.write(key, put('x'))).rejects.toMatchObject(refused)
      await expect(storage.replace(key, Buffer.from('x'))).rejects.toMatchObject(refused)
      await expect(storage.read(key)).rejects.toMatchObject(refused)
      await expect(storage.size(key)).rejects.toMatchObject(refused)
      await expect(storage.remove(key)).rejects.toMatchObject(refused)
      if (key.endsWith('/') && !key.startsWith('/')) return
      await expect(storage.removeAll(key)).rejects.toMatchObject(refused)
      if (key !== '') await expect(list(key)).rejects.toMatchObject(refused)
      if (key !== '') await expect(list(`${key}/`)).rejects.toMatchObject(refused)
      expect(await place.everything()).toEqual([])
    })

    test('can be probed, and the probe leaves nothing', async () => {
      await storage.probe()
      expect(await place.everything()).toEqual([])
    })

    test('removes with a probe what probes of lost workers have left, and not what another one is at', async () => {
      const dayMs = 86_400_000
      const atHand = `probe-${Date.now() - dayMs / 2}.${crypto.randomUUID()}`
      const lost = [`probe-${crypto.randomUUID()}`, `probe-${Date.now() - 2 * dayMs}.${crypto.randomUUID()}`]
      const others = [
        'object',
        'probe-data.csv',
        `probe-${crypto.randomUUID()}.csv`,
        'probe-1.csv',
        'probe-lab/manifest.json',
      ]
      for (const key of [atHand, ...lost, ...others, `probe-lab/${lost[0]}`]) await storage.write(key, put('x'))
      await storage.probe()
      expect((await list('')).map(({ key }) => key).toSorted()).toEqual(
        [...others, atHand, `probe-lab/${lost[0]}`].toSorted(),
      )
    })

    test('says how many bytes are free, where it can tell', async () => {
      const freeBytes = await storage.freeBytes()
      if (freeBytes !== undefined) expect(freeBytes).toBeGreaterThan(0)
    })

    test('can be prepared again without harm', async () => {
      await storage.write('object', put('x'))
      await storage.prepare()
      expect(await read('object')).toBe('x')
    })
  })
}

/** Fills a sink with some bytes. */
export function put(bytes: string | Buffer): (sink: Writable) => Promise<void> {
  return async (sink) => void sink.end(bytes)
}
