import { describe, expect } from 'vitest'
import type { Database } from '../src/database/connect.ts'
import { createChannel } from '../src/notification/channel/create.ts'
import { recordNotification } from '../src/notification/record.ts'
import { InvalidSetting, readSettings } from '../src/settings.ts'
import { addWebhook, deliveriesThat, plainSecrets, startDeliverer, startHook } from './kit/channels.ts'
import { startMailServer } from './kit/mail-server.ts'
import { test } from './kit/test.ts'

const now = new Date('2026-03-01T12:00:00.000Z')

function addMailChannel(database: Database, ...to: string[]) {
  return createChannel(database, {
    name: 'mail',
    target: { kind: 'MAIL', to },
    kinds: null,
    minSeverity: 'INFO',
    rules: { allowHttp: false, canMail: true },
    secrets: plainSecrets,
    actor: 'ann',
    now,
  })
}

function tell(database: Database) {
  return database.transaction((tx) =>
    recordNotification(tx, {
      kind: 'BACKUP_FAILED',
      severity: 'ERROR',
      message: 'The backup of "db" failed.',
      recommendedActions: ['Check the server.', 'Check the network.'],
      about: { name: 'db' },
      now,
    }),
  )
}

describe('a mail channel', () => {
  test('sends what happened and what to do to all its recipients', async ({ databaseUrl, database }) => {
    await using server = await startMailServer()
    await addMailChannel(database, 'ann@example.com', 'ops@example.com')
    await using _deliverer = await startDeliverer(databaseUrl, { mailServer: server.settings })
    await tell(database)
    const [delivery] = await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
    expect(delivery).toMatchObject({ attempts: 1, lastResult: 'The mail server took it' })
    expect(server.received).toMatchObject([
      { from: 'holdfast@example.com', to: ['ann@example.com', 'ops@example.com'] },
    ])
    const [{ text } = { text: '' }] = server.received
    expect(text).toMatch(/^Subject: .*Holdfast.*backup/m)
    expect(text).toContain('- Check the server.\r\n- Check the network.')
    expect(text).toContain('Auto-Submitted: auto-generated')
    expect(text).toContain(`Message-ID: <${delivery?.id}@example.com>`)
  })

  test('says which recipients were refused, when others were not', async ({ databaseUrl, database }) => {
    await using server = await startMailServer()
    server.refused.add('gone@example.com')
    await addMailChannel(database, 'gone@example.com', 'ops@example.com')
    await using _deliverer = await startDeliverer(databaseUrl, { mailServer: server.settings })
    await tell(database)
    const [delivery] = await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
    expect(delivery?.lastResult).toBe('The mail server took it; not for gone@example.com')
  })

  test('waits, and loses no attempt, where only webhooks are delivered to', async ({ databaseUrl, database }) => {
    await using server = await startMailServer()
    await using hook = await startHook()
    const { channel: mail } = await addMailChannel(database, 'ops@example.com')
    await addWebhook(database, { url: hook.url })
    await tell(database)
    {
      await using _lookout = await startDeliverer(databaseUrl, { kinds: ['WEBHOOK'] })
      await deliveriesThat(database, 'the webhook', ({ status, channelId, attempts }) =>
        channelId === mail.id ? attempts === 0 : status === 'DELIVERED',
      )
    }
    await using _deliverer = await startDeliverer(databaseUrl, { mailServer: server.settings })
    const all = await deliveriesThat(database, 'delivery', ({ status }) => status === 'DELIVERED')
    expect(all.map(({ attempts }) => attempts)).toEqual([1, 1])
  })

  test('is tried again when the mail server refuses, which is told by codes alone', async ({
    databaseUrl,
    database,
  }) => {
    await using server = await startMailServer()
    server.trouble = { code: 451, message: 'I heard the password, and it is secret' }
    await addMailChannel(database, 'ops@example.com')
    await using deliverer = await startDeliverer(databaseUrl, { mailServer: server.settings })
    await tell(database)
    await deliveriesThat(
      database,
      'a failed attempt',
      ({ status, lastResult }) => status === 'PENDING' && lastResult !== null,
    )
    const [failed] = await deliveriesThat(database, 'its result', ({ lastResult }) => lastResult === 'SMTP 451')
    expect(failed?.nextAttemptAt.getTime()).toBeGreaterThan(Date.now())
    expect(deliverer.logged()).not.toContain('secret')
  })

  test('says when the password is wrong or the server is not there, and never what the password is', async ({
    databaseUrl,
    database,
  }) => {
    const server = await startMailServer()
    await addMailChannel(database, 'ops@example.com')
    {
      const wrong = { ...server.settings, password: 'wr0ng-password' }
      await using deliverer = await startDeliverer(databaseUrl, { mailServer: wrong })
      await tell(database)
      await deliveriesThat(database, 'a refused password', ({ lastResult }) =>
        Boolean(lastResult?.includes('refused the user name or password (SMTP 535)')),
      )
      expect(deliverer.logged()).not.toContain('wr0ng-password')
    }
    await server[Symbol.asyncDispose]()
    await using _deliverer = await startDeliverer(databaseUrl, { mailServer: server.settings })
    await tell(database)
    const results = await deliveriesThat(database, 'both results', ({ lastResult }) => lastResult !== null)
    expect(results.map(({ lastResult }) => lastResult)).toContain('The mail server cannot be reached')
  })

  test('says when the certificate of the mail server cannot be trusted', async ({ databaseUrl, database }) => {
    await using server = await startMailServer({ isSecure: true })
    await addMailChannel(database, 'ops@example.com')
    await using _deliverer = await startDeliverer(databaseUrl, { mailServer: server.settings })
    await tell(database)
    await deliveriesThat(database, 'a failed attempt', ({ lastResult }) => Boolean(lastResult?.includes('certificate')))
    expect(server.logins).toEqual([])
  })

  test('never sends its password in the open to a server that is not known to be on this machine', async ({
    databaseUrl,
    database,
  }) => {
    await using server = await startMailServer({ host: '127.0.0.2' })
    await addMailChannel(database, 'ops@example.com')
    await using _deliverer = await startDeliverer(databaseUrl, { mailServer: server.settings })
    await tell(database)
    await deliveriesThat(database, 'a failed attempt', ({ lastResult }) =>
      Boolean(lastResult?.startsWith('The mail server offers no TLS')),
    )
    expect(server.logins).toEqual([])
  })

  test('waits on a worker that has no mail server', async ({ databaseUrl, database }) => {
    await addMailChannel(database, 'ops@example.com')
    await using _deliverer = await startDeliverer(databaseUrl)
    await tell(database)
    await deliveriesThat(database, 'a failed attempt', ({ lastResult }) =>
      Boolean(lastResult?.includes('without HOLDFAST_SMTP_URL')),
    )
  })
})

describe('the settings of the mail server', () => {
  const read = (url?: string, from?: string) =>
    readSettings({ HOLDFAST_SMTP_URL: url, HOLDFAST_SMTP_FROM: from }).mailServer

  test('are taken apart', () => {
    expect(read()).toBeNull()
    expect(read('smtps://ann:p%40ss%2Fword@mail.example.com', 'a@example.com')).toEqual({
      host: 'mail.example.com',
      port: 465,
      isSecure: true,
      username: 'ann',
      password: 'p@ss/word',
      from: 'a@example.com',
    })
    expect(read('smtp://[::1]:2525/', 'a@example.com')).toMatchObject({ host: '::1', port: 2525, username: null })
    expect(read('smtp://mail', 'a@example.com')).toMatchObject({ port: 587, isSecure: false })
  })

  test.for([
    ['smtp://mail', undefined],
    [undefined, 'a@example.com'],
    ['http://u:s3cret@mail', 'a@example.com'],
    ['smtp://u:s3cret@mail/path', 'a@example.com'],
    ['smtp://u:s3cret%ff@mail', 'a@example.com'],
    ['s3cret', 'a@example.com'],
    ['smtp://mail', 'not an address'],
    ['smtp://mail', 'a@b, c@d'],
  ])('are refused as %s with %s, without showing the password', ([url, from]) => {
    let message = ''
    try {
      read(url, from)
    } catch (cause) {
      if (cause instanceof InvalidSetting) message = cause.message
    }
    expect(message).toContain('HOLDFAST_SMTP_')
    expect(message).not.toContain('s3cret')
  })
})
