import { expect, test } from 'vitest'
import { InvalidSetting, readSettings } from '../src/settings.ts'

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

test('a port for health and metrics is for a worker alone, which needs no token there', () => {
  const port = { HOLDFAST_HEALTH_PORT: '4001', DATABASE_URL: 'postgres://db.internal/holdfast' }
  for (const role of ['all', 'api']) {
    const refused = `HOLDFAST_HEALTH_PORT is for the role "worker", not "${role}": the API answers health and metrics on HOLDFAST_PORT.`
    expect(() => readSettings({ ...port, HOLDFAST_ROLE: role })).toThrow(new InvalidSetting(refused))
  }
  const everywhere = { DATABASE_URL: port.DATABASE_URL, HOLDFAST_HOST: '0.0.0.0' }
  expect(readSettings({ ...port, ...everywhere, HOLDFAST_ROLE: 'worker' })).toMatchObject({ healthPort: 4001 })
  expect(() => readSettings({ ...everywhere, HOLDFAST_ROLE: 'api' })).toThrow('set HOLDFAST_API_TOKEN too')
})
