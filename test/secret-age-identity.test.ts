import { identityToRecipient } from 'age-encryption'
import { expect, test } from 'vitest'
import { decodeIdentity, decodeRecipient, generateIdentity } from '../src/secret/age-identity.ts'

test('a new identity is one that age knows, with the same recipient', async () => {
  const { identity, recipient } = generateIdentity()
  expect(identity).toMatch(/^AGE-SECRET-KEY-1[0-9A-Z]{58}$/)
  expect(recipient).toMatch(/^age1[0-9a-z]{58}$/)
  expect(await identityToRecipient(identity)).toBe(recipient)
  expect(generateIdentity().identity).not.toBe(identity)
})

test('both halves decode to 32 bytes', () => {
  const { identity, recipient } = generateIdentity()
  expect(decodeIdentity(identity)).toHaveLength(32)
  expect(decodeRecipient(recipient)).toHaveLength(32)
})

test('anything else is refused without repeating it', () => {
  const { identity, recipient } = generateIdentity()
  const mistyped = identity.slice(0, -1) + (identity.endsWith('Q') ? 'P' : 'Q')
  for (const text of ['', 'hunter2', recipient, mistyped, identity.toLowerCase(), identity.slice(0, -4)]) {
    const attempt = () => decodeIdentity(text)
    expect(attempt).toThrow(expect.objectContaining({ code: 'IDENTITY_INVALID' }))
    if (text) expect(attempt).not.toThrow(text)
  }
  for (const text of ['', identity, recipient.toUpperCase(), `${recipient.slice(0, -1)}b`])
    expect(() => decodeRecipient(text)).toThrow(expect.objectContaining({ code: 'RECIPIENT_INVALID' }))
})
