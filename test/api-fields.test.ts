import { expect, test } from 'vitest'
import { durationText, versionText } from '../src/graphql/nouns/fields.ts'

test.each([
  [0, 'PT0S'],
  [-5, 'PT0S'],
  [1, 'PT0.001S'],
  [12_300, 'PT12.3S'],
  [60_000, 'PT1M'],
  [3_725_500, 'PT1H2M5.5S'],
  [90_000_000, 'PT25H'],
])('%d ms is the duration %s', (milliseconds, text) => {
  expect(durationText(milliseconds)).toBe(text)
})

test.each([
  [150_006, '15.6'],
  [180_000, '18.0'],
  [90_624, '9.6.24'],
])('%d is version %s', (versionNumber, text) => {
  expect(versionText(versionNumber)).toBe(text)
})
