import { execFile } from 'node:child_process'
import { chown, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect } from 'vitest'
import type { Cluster } from '../src/cluster/start.ts'
import type { ServerAddress } from '../src/engine/address.ts'
import { inspectServer } from '../src/engine/inspect.ts'
import { runServerTool } from '../src/engine/run-tool.ts'
import { addressOf, failureOf, installedTools, memorySink, never, run } from './kit/engine.ts'
import { test } from './kit/test.ts'
import { waitFor } from './kit/wait-for.ts'

const openssl = (...args: string[]) => promisify(execFile)('openssl', args)

/** Makes a certificate authority and a certificate of it for some names; answers the files' contents. */
async function issue(folder: string, name: string, alternativeNames: string) {
  const file = (kind: string) => join(folder, `${name}.${kind}`)
  const fresh = ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const authority = ['-x509', '-days', '2', '-subj', `/CN=${name} authority`]
  await openssl(...fresh, ...authority, '-keyout', file('ca.key'), '-out', file('ca.crt'))
  await openssl(...fresh, '-subj', '/CN=server', '-keyout', file('key'), '-out', file('csr'))
  await writeFile(file('ext'), `subjectAltName=${alternativeNames}`)
  const signing = [
    '-CA',
    file('ca.crt'),
    '-CAkey',
    file('ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    file('ext'),
  ]
  await openssl('x509', '-req', '-in', file('csr'), ...signing, '-out', file('crt'))
  const read = (kind: string) => readFile(file(kind), 'utf8')
  return { ca: await read('ca.crt'), certificate: await read('crt'), key: await read('key') }
}

async function turnOnTls(cluster: Cluster, { certificate, key }: { certificate: string; key: string }) {
  const { uid, gid } = await stat(cluster.dataDir)
  for (const [name, text] of Object.entries({ 'server.crt': certificate, 'server.key': key })) {
    const path = join(cluster.dataDir, name)
    await writeFile(path, text, { mode: 0o600 })
    await chown(path, uid, gid)
  }
  await run(cluster, 'postgres', 'alter system set ssl = on')
  await run(cluster, 'postgres', 'select pg_reload_conf()')
  await waitFor('TLS', () => inspectServer(addressOf(cluster, { tlsMode: 'REQUIRE' })).catch(() => undefined))
}

/** How both ways of reaching a server end: asking it, and pointing a program at it. */
async function outcomes(address: ServerAddress) {
  const tools = await installedTools()
  const args = ['--schema-only']
  const dump = { tool: 'pg_dump', tools, args, what: 'Dumping', sink: memorySink(), signal: never } as const
  const end = async (work: Promise<unknown>) => {
    const done = await work.then(
      () => 'fine',
      () => undefined,
    )
    return done ?? (await failureOf(work)).code
  }
  return [await end(inspectServer(address)), await end(runServerTool(address, 'postgres', dump))]
}

describe('TLS modes mean what they mean to PostgreSQL’s own programs', () => {
  test('for a name that the certificate holds, one that it does not, and authorities', async ({ source, folder }) => {
    const own = await issue(folder, 'own', 'DNS:localhost')
    const other = await issue(folder, 'other', 'DNS:localhost')
    await turnOnTls(source, own)
    const named = { host: 'localhost' }
    const cases: readonly (readonly [string, Partial<ServerAddress>])[] = [
      ['fine', { tlsMode: 'DISABLE' }],
      ['fine', { tlsMode: 'REQUIRE' }],
      ['fine', { tlsMode: 'REQUIRE', caCertificate: own.ca }],
      ['TLS_UNTRUSTED', { tlsMode: 'REQUIRE', caCertificate: other.ca }],
      ['fine', { tlsMode: 'VERIFY_CA', caCertificate: own.ca }],
      ['fine', { tlsMode: 'VERIFY_CA', caCertificate: `${other.ca}\n${own.ca}` }],
      ['TLS_UNTRUSTED', { tlsMode: 'VERIFY_CA', caCertificate: other.ca }],
      ['TLS_UNTRUSTED', { tlsMode: 'VERIFY_CA', caCertificate: null }],
      ['fine', { ...named, tlsMode: 'VERIFY_FULL', caCertificate: own.ca }],
      ['TLS_UNTRUSTED', { tlsMode: 'VERIFY_FULL', caCertificate: own.ca }],
      ['TLS_UNTRUSTED', { ...named, tlsMode: 'VERIFY_FULL', caCertificate: other.ca }],
      ['TLS_UNTRUSTED', { ...named, tlsMode: 'VERIFY_FULL', caCertificate: null }],
    ]
    for (const [expected, changes] of cases) {
      const seen = await outcomes(addressOf(source, changes))
      expect
        .soft(seen, JSON.stringify({ ...changes, caCertificate: changes.caCertificate?.length }))
        .toEqual([expected, expected])
    }
  })

  test('for an address that the certificate holds', async ({ source, folder }) => {
    const own = await issue(folder, 'address', 'IP:127.0.0.1')
    await turnOnTls(source, own)
    const address = addressOf(source, { tlsMode: 'VERIFY_FULL', caCertificate: own.ca })
    await waitFor('the new certificate', async () => {
      const seen = await outcomes(address)
      return seen.every((each) => each === 'fine')
    })
    expect(await outcomes({ ...address, host: 'localhost' })).toEqual(['TLS_UNTRUSTED', 'TLS_UNTRUSTED'])
  })
})
