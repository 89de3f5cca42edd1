import { expect, test } from 'vitest'
import { readSettings } from '../src/settings.ts'

test('directories that are not told from the root lie in the data directory, all of them', () => {
  const settings = readSettings({
    HOLDFAST_DATA_DIR: '/srv/holdfast',
    HOLDFAST_KEY_FILE: 'keys/secret.key',
    HOLDFAST_SPOOL_DIR: '../spool',
    HOLDFAST_SCRATCH_DIR: 'fast/scratch',
  })
  expect(settings).toMatchObject({
    keyFile: '/srv/holdfast/keys/secret.key',
    spoolDirectory: '/srv/spool',
    scratchDirectory: '/srv/holdfast/fast/scratch',
  })
  const usual = readSettings({ HOLDFAST_DATA_DIR: '/srv/holdfast' })
  expect(usual).toMatchObject({
    keyFile: '/srv/holdfast/secret.key',
    spoolDirectory: '/srv/holdfast/spool',
    scratchDirectory: '/srv/holdfast/scratch',
  })
})
