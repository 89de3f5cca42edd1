import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openSecretBox } from '../src/secret/secret-box.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-secret-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('a secret sealed before a restart opens after it', async () => {
  const before = await openSecretBox(join(folder, 'key'))
  const sealed = before.seal('pässword with "quotes"')
  const after = await openSecretBox(join(folder, 'key'))
  expect(after.open(sealed)).toBe('pässword with "quotes"')
  expect(after.open(before.seal(''))).toBe('')
})

test('sealing twice gives two texts, neither holding the secret', async () => {
  const box = await openSecretBox(join(folder, 'key'))
  const [first, second] = [box.seal('hunter2'), box.seal('hunter2')]
  expect(first).not.toBe(second)
  expect(first).toMatch(/^v1\.[A-Za-z0-9_-]+$/)
  expect(Buffer.from(first.slice(3), 'base64url').includes('hunter2')).toBe(false)
})

test('the key file is 32 bytes for its owner alone, and nothing else is left beside it', async () => {
  await openSecretBox(join(folder, 'key'))
  const { mode, size } = await stat(join(folder, 'key'))
  expect(mode & 0o777).toBe(0o600)
  expect(size).toBe(32)
  expect(await readdir(folder)).toEqual(['key'])
})

test('another key refuses to open the secret, and so does a changed text', async () => {
  const box = await openSecretBox(join(folder, 'key'))
  const other = await openSecretBox(join(folder, 'other'))
  const sealed = box.seal('hunter2')
  expect(() => other.open(sealed)).toThrow(expect.objectContaining({ code: 'WRONG_KEY' }))
  const bytes = Buffer.from(sealed.slice(3), 'base64url')
  for (let position = 0; position < bytes.length; position++) {
    const changed = Buffer.from(bytes)
    changed.writeUInt8(changed.readUInt8(position) ^ 1, position)
    expect(() => box.open(`v1.${changed.toString('base64url')}`)).toThrow(
      expect.objectContaining({ code: 'WRONG_KEY' }),
    )
  }
})

test.each(['', 'v1.', 'v2.AAAA', 'hunter2', 'v1.!!!!'])('the text %j is refused as never sealed', async (text) => {
  const box = await openSecretBox(join(folder, 'key'))
  expect(() => box.open(text)).toThrow(expect.objectContaining({ code: 'SEALED_TEXT_INVALID' }))
})

test('a key file that others can read is refused, with the cure', async () => {
  await openSecretBox(join(folder, 'key'))
  await chmod(join(folder, 'key'), 0o640)
  await expect(openSecretBox(join(folder, 'key'))).rejects.toMatchObject({
    code: 'KEY_FILE_UNSAFE',
    message: expect.stringContaining('chmod 600'),
  })
})

test('a key file of the wrong length is refused and kept', async () => {
  await writeFile(join(folder, 'key'), randomBytes(31), { mode: 0o600 })
  await expect(openSecretBox(join(folder, 'key'))).rejects.toMatchObject({ code: 'KEY_FILE_INVALID' })
  expect(await readFile(join(folder, 'key'))).toHaveLength(31)
})

test('several processes that start at once agree on one key', async () => {
  const boxes = await Promise.all(Array.from({ length: 8 }, () => openSecretBox(join(folder, 'key'))))
  const sealed = boxes.map((box, position) => box.seal(`secret ${position}`))
  const again = await openSecretBox(join(folder, 'key'))
  expect(sealed.map((text) => again.open(text))).toEqual(boxes.map((_, position) => `secret ${position}`))
})
