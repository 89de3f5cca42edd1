import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSet, SetWriter } from '../../src/storage/file-set.ts'
import { put } from './storage-contract.ts'

/** A place for one test, whose folder sets are written into. */
export interface SetPlace extends AsyncDisposable {
  /** The set of the folder, for a writer. */
  set: (writer: SetWriter) => FileSet
  /** Puts a file into the folder, as somebody else does. */
  putOther: (name: string, text: string) => Promise<void>
  /** The files of the folder by their names. */
  files: () => Promise<Record<string, string>>
  /** Whatever lies anywhere in the place, half-written too. */
  everything: () => Promise<string[]>
}

const never = new AbortController().signal
const confirmed = { signal: never, confirm: async () => {} }

/** What every kind of place has to hold to for sets of files. */
export function fileSetContract(kind: string, open: () => Promise<SetPlace>): void {
  describe(`a set of files in ${kind}`, () => {
    let place: SetPlace
    let writer: SetWriter
    const next = (set: SetWriter) => ({ ...set, attempt: set.attempt + 1 })
    beforeEach(async () => {
      place = await open()
      writer = { id: randomUUID(), attempt: 1 }
    })
    afterEach(() => place[Symbol.asyncDispose]())

    test('is there whole after the commit, and its mark with it', async () => {
      const set = place.set(writer)
      expect(await set.occupants()).toEqual([])
      expect(await set.read('manifest.json')).toBeUndefined()
      await Promise.all([set.write('a.dump', put('a'), never), set.write('b.sql', put('b'), never)])
      await set.commit('manifest.json', 'whole', confirmed)
      expect(await place.files()).toEqual({ 'a.dump': 'a', 'b.sql': 'b', 'manifest.json': 'whole' })
      expect(await place.everything()).toHaveLength(3)
      expect(await set.read('manifest.json')).toBe('whole')
      expect(await set.occupants()).toEqual(['a.dump', 'b.sql', 'manifest.json'])
      await place.set(writer).discard()
      expect(await place.everything()).toHaveLength(3)
    })

    test('tells the first five names of what lies in its folder already', async () => {
      for (const name of ['f', 'e', 'd', 'c', 'b', 'a', 'ä ö']) await place.putOther(name, 'mine')
      expect(await place.set(writer).occupants()).toEqual(['a', 'b', 'c', 'd', 'e'])
    })

    test('leaves nothing when it is discarded, also in the middle of a file', async () => {
      const set = place.set(writer)
      const abort = new AbortController()
      await set.write('a.dump', put('a'), never)
      const reason = new Error('cancelled')
      const cut = set.write(
        'b.dump',
        async (sink) => {
          await new Promise((resolve) => sink.write('half', resolve))
          abort.abort(reason)
          await new Promise(() => {})
        },
        abort.signal,
      )
      await expect(cut).rejects.toBe(reason)
      const failure = new Error('the source failed')
      await expect(set.write('c.dump', () => Promise.reject(failure), never)).rejects.toBe(failure)
      await set.discard()
      expect(await place.everything()).toEqual([])
    })

    test('is not committed when the confirmation is refused, and can be discarded then', async () => {
      const set = place.set(writer)
      await set.write('a.dump', put('a'), never)
      const refusal = new Error('another worker has the job')
      const refused = { signal: never, confirm: () => Promise.reject(refusal) }
      await expect(set.commit('manifest.json', 'whole', refused)).rejects.toBe(refusal)
      expect(Object.keys(await place.files())).not.toContain('manifest.json')
      await set.discard()
      expect(await place.everything()).toEqual([])
    })

    test('is not committed beside what another has put there meanwhile, and leaves that alone', async () => {
      const set = place.set(writer)
      await set.write('a.dump', put('a'), never)
      await place.putOther('mine.txt', 'mine')
      await expect(set.commit('manifest.json', 'whole', confirmed)).rejects.toMatchObject({
        code: 'STORAGE_OBJECT_EXISTS',
      })
      await set.discard()
      expect(await place.files()).toEqual({ 'mine.txt': 'mine' })
      await place.set(next(writer)).removeEarlier()
      expect(await place.files()).toEqual({ 'mine.txt': 'mine' })
    })

    test('that an attempt left is removed by the next one, and by no other writer', async () => {
      const lost = place.set(writer)
      await lost.write('a.dump', put('a'), never)
      await lost.write('b.dump', put('b'), never)
      const before = await place.everything()
      await place.set({ id: randomUUID(), attempt: 9 }).removeEarlier()
      await place.set(writer).removeEarlier()
      expect(await place.everything()).toEqual(before)
      const heir = place.set(next(writer))
      await heir.removeEarlier()
      expect(await place.everything()).toEqual([])
      await heir.write('a.dump', put('again'), never)
      await heir.commit('manifest.json', 'whole', confirmed)
      expect(await place.files()).toEqual({ 'a.dump': 'again', 'manifest.json': 'whole' })
    })

    test('of an attempt that wakes up late is neither committed nor takes anything away from its heir', async () => {
      const late = place.set(writer)
      await late.write('a.dump', put('a'), never)
      const heir = place.set(next(writer))
      await heir.removeEarlier()
      await heir.write('a.dump', put('heir'), never)
      const refused = { signal: never, confirm: () => Promise.reject(new Error('lost')) }
      await expect(late.commit('manifest.json', 'late', refused)).rejects.toThrow()
      await late.discard()
      await late.removeEarlier()
      await heir.commit('manifest.json', 'whole', confirmed)
      expect(await place.files()).toEqual({ 'a.dump': 'heir', 'manifest.json': 'whole' })
    })

    test.each(['../a', 'a b', '', '.hidden', 'a\n'])('has no file named %j', async (name) => {
      await expect(place.set(writer).write(name, put('x'), never)).rejects.toMatchObject({
        code: 'STORAGE_KEY_INVALID',
      })
      expect(await place.everything()).toEqual([])
    })
  })
}
