import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { auditRecords } from '../src/database/tables/audit.ts'
import { notificationChannels } from '../src/database/tables/notification.ts'
import { encodeNodeId } from '../src/graphql/schema/ids.ts'
import { recordNotification } from '../src/notification/record.ts'
import { type Api, at, listAt, startApi, textAt } from './kit/api.ts'

let api: Api
beforeEach(async () => {
  api = await startApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const url = 'https://hooks.example.com:8443/services/t0ken?key=k3y'

const fields = 'id name kind host to kinds minSeverity secretSetAt failingSince lastDelivery { status }'

const create = (input: Record<string, unknown> = {}) =>
  api.mutate(
    'createNotificationChannel',
    { name: 'ops', target: { webhook: { url } }, ...input },
    `... on CreateNotificationChannelPayload { signingSecret channel { ${fields} } } ... on InvalidInput { field } ... on NameTaken { takenName }`,
  )

const mutate = (name: string, channel: unknown, payload: string) =>
  api.mutate(
    name,
    { channel },
    `... on ${name.charAt(0).toUpperCase()}${name.slice(1)}Payload { ${payload} } ... on NotFound { kind }${
      name.startsWith('rotate') ? ' ... on InvalidInput { field }' : ''
    }`,
  )

describe('a notification channel', () => {
  test('to a webhook is created with a secret that is shown once, and only its host is ever shown', async () => {
    const created = await create({ kinds: ['BACKUP_FAILED'], minSeverity: 'WARNING' })
    expect(created).toMatchObject({
      __typename: 'CreateNotificationChannelPayload',
      signingSecret: expect.stringMatching(/^holdfast-webhook-[\w-]{43}$/),
      channel: {
        name: 'ops',
        kind: 'WEBHOOK',
        host: 'hooks.example.com:8443',
        to: null,
        kinds: ['BACKUP_FAILED'],
        minSeverity: 'WARNING',
        secretSetAt: '2026-03-01T12:00:00.000Z',
        failingSince: null,
        lastDelivery: null,
      },
    })
    const answer = await api.ask(
      `{ notificationChannels { totalCount nodes { ${fields} deliveries { totalCount } } } auditLog { nodes { action actor subjectName subjectKind details { name value } subject { id } } } }`,
    )
    expect(answer.errors).toBeUndefined()
    expect(listAt(answer, 'data.auditLog.nodes')).toMatchObject([
      { action: 'createNotificationChannel', subjectName: 'ops', subject: { id: at(created, 'channel.id') } },
    ])
    const rows = JSON.stringify([
      answer,
      await api.database.select().from(notificationChannels),
      await api.database.select().from(auditRecords),
    ])
    expect(rows).toContain('hooks.example.com:8443')
    for (const secret of ['t0ken', 'k3y', textAt(created, 'signingSecret').slice(17)])
      expect(rows).not.toContain(secret)
  })

  test('to mail has no secret, and is refused while no mail server is set', async () => {
    const mail = { mail: { to: ['ann@example.com', 'ops@example.com', 'ann@example.com'] } }
    expect(await create({ target: mail })).toMatchObject({
      signingSecret: null,
      channel: { kind: 'MAIL', host: null, to: ['ann@example.com', 'ops@example.com'], secretSetAt: null, kinds: null },
    })
    api.channelRules.canMail = false
    const refused = await create({ name: 'other', target: mail })
    expect(refused).toMatchObject({
      __typename: 'MailNotConfigured',
      recommendedActions: [expect.stringContaining('HOLDFAST_SMTP_URL'), expect.any(String)],
    })
  })

  test.each([
    ['ftp://example.com/'],
    ['example.com'],
    [''],
    ['https://user@example.com/'],
    ['https://user:word@example.com/'],
    ['https://example.com/#part'],
    ['https://example.com/#'],
    ['https://exa mple.com/'],
    ['https://example.com/\n'],
    ['https://example.com:0/'],
    [`https://example.com/${'a'.repeat(2000)}`],
    ['http://example.com/'],
    ['http://127.0.0.1.example.com/'],
    ['http://10.0.0.1/'],
  ])('is refused the URL %j', async (refused) => {
    const answer = await create({ target: { webhook: { url: refused } } })
    expect(answer).toMatchObject({ __typename: 'InvalidInput', field: 'target.webhook.url' })
    expect(await api.database.$count(notificationChannels)).toBe(0)
  })

  test('may be reached without TLS within the machine, and elsewhere when that is allowed', async () => {
    for (const local of ['http://localhost:9/', 'http://127.0.0.1/x', 'http://[::1]:8080/']) {
      expect(await create({ name: local, target: { webhook: { url: local } } })).toHaveProperty('channel')
    }
    api.channelRules.allowHttp = true
    const target = { webhook: { url: 'http://alerts.internal/' } }
    expect(await create({ name: 'internal', target })).toHaveProperty('channel')
  })

  test.each([
    ['no address', []],
    ['too many', Array.from({ length: 21 }, (_, index) => `ops${index}@example.com`)],
    ['a name with it', ['Ann <ann@example.com>']],
    ['two in one', ['ann@example.com,ops@example.com']],
    ['a line break', ['ann@example.com\nBcc: eve@example.com']],
    ['no host', ['ann@']],
    ['a very long one', [`${'a'.repeat(60)}@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.${'e'.repeat(60)}`]],
  ])('is refused recipients with %s', async (_what, to) => {
    expect(await create({ target: { mail: { to } } })).toMatchObject({
      __typename: 'InvalidInput',
      field: 'target.mail.to',
    })
  })

  test('is refused a taken or broken name, no kinds at all, and two targets', async () => {
    await create()
    expect(await create()).toMatchObject({ __typename: 'NameTaken', takenName: 'ops' })
    expect(await create({ name: ' ' })).toMatchObject({ __typename: 'InvalidInput', field: 'name' })
    expect(await create({ name: 'other', kinds: [] })).toMatchObject({ __typename: 'InvalidInput', field: 'kinds' })
    const both = { webhook: { url }, mail: { to: ['a@example.com'] } }
    await expect(create({ name: 'other', target: both })).rejects.toThrow('exactly one')
  })

  test('is tested, given a new secret and deleted, each noted in the audit log', async () => {
    const created = await create({ kinds: ['PURGE_NEAR'] })
    const id = at(created, 'channel.id')
    expect(
      await mutate(
        'testNotificationChannel',
        id,
        'delivery { status attempts nextAttemptAt channel { id } notification { kind message } }',
      ),
    ).toMatchObject({
      delivery: { status: 'PENDING', attempts: 0, channel: { id }, notification: { kind: 'CHANNEL_TEST' } },
    })
    const rotated = await mutate('rotateNotificationChannelSecret', id, 'signingSecret channel { id secretSetAt }')
    expect(rotated).toMatchObject({ channel: { id } })
    expect(at(rotated, 'signingSecret')).not.toBe(at(created, 'signingSecret'))
    expect(await mutate('deleteNotificationChannel', id, 'deletedChannelId name')).toMatchObject({
      deletedChannelId: id,
      name: 'ops',
    })
    const answer = await api.ask(
      '{ auditLog { nodes { action subject { id } } } notifications { nodes { kind deliveries { id } } } notificationChannels { totalCount } }',
    )
    expect(listAt(answer, 'data.auditLog.nodes').map(({ action, subject }) => [action, subject])).toEqual(
      expect.arrayContaining([
        ['deleteNotificationChannel', null],
        ['rotateNotificationChannelSecret', null],
        ['testNotificationChannel', null],
        ['createNotificationChannel', null],
      ]),
    )
    expect(listAt(answer, 'data.notifications.nodes')).toEqual([{ kind: 'CHANNEL_TEST', deliveries: [] }])
    expect(at(answer, 'data.notificationChannels.totalCount')).toBe(0)
    for (const name of ['testNotificationChannel', 'rotateNotificationChannelSecret', 'deleteNotificationChannel']) {
      expect(await mutate(name, id, '__typename')).toMatchObject({
        __typename: 'NotFound',
        kind: 'notification channel',
      })
      const vault = encodeNodeId('Vault', crypto.randomUUID())
      expect(await mutate(name, vault, '__typename')).toMatchObject({ __typename: 'NotFound' })
    }
  })

  test('by mail has no secret to change', async () => {
    const created = await create({ target: { mail: { to: ['a@example.com'] } } })
    expect(await mutate('rotateNotificationChannelSecret', at(created, 'channel.id'), 'signingSecret')).toMatchObject({
      __typename: 'InvalidInput',
      field: 'channel',
    })
  })

  test('shows its delivery log page by page, newest first', async () => {
    const id = at(await create(), 'channel.id')
    for (const message of ['one', 'two', 'three']) {
      await api.database.transaction((tx) =>
        recordNotification(tx, { kind: 'PURGE_NEAR', severity: 'WARNING', message, about: {}, now: api.clock.now }),
      )
    }
    const page = (after: unknown) =>
      api.ask(
        'query ($id: ID!, $after: Cursor) { notificationChannel(id: $id) { lastDelivery { notification { message } } deliveries(first: 2, after: $after) { totalCount nodes { notification { message } } pageInfo { hasNextPage endCursor } } } }',
        { id, after },
      )
    const first = await page(null)
    expect(at(first, 'data.notificationChannel')).toMatchObject({
      lastDelivery: { notification: { message: 'three' } },
      deliveries: {
        totalCount: 3,
        nodes: [{ notification: { message: 'three' } }, { notification: { message: 'two' } }],
      },
    })
    const second = await page(at(first, 'data.notificationChannel.deliveries.pageInfo.endCursor'))
    expect(listAt(second, 'data.notificationChannel.deliveries.nodes')).toEqual([{ notification: { message: 'one' } }])
  })
})
