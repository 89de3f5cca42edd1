import { execFile } from 'node:child_process'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect } from 'vitest'
import { test as it } from './kit/test.ts'

const biome = fileURLToPath(new URL('../node_modules/.bin/biome', import.meta.url))
const config = fileURLToPath(new URL('../biome.json', import.meta.url))

/** Lints code as if it were a file of the house; answers all that the linter says. */
async function lint(folder: string, path: string, code: string): Promise<string> {
  await mkdir(join(folder, dirname(path)), { recursive: true })
  await copyFile(config, join(folder, 'biome.json'))
  await writeFile(join(folder, path), code)
  const { promise, resolve } = Promise.withResolvers<string>()
  execFile(biome, ['lint', '--vcs-enabled=false', path], { cwd: folder }, (_error, stdout, stderr) =>
    resolve(`${stdout}${stderr}`.replace(/\s+/g, ' ')),
  )
  return promise
}

describe('the import table', () => {
  it.for([
    ['src/retention/x.ts', '../database/connect.ts', 'stands alone'],
    ['src/engine/x.ts', '../storage/contract.ts', 'stands alone'],
    ['src/storage/x.ts', '../worker/handlers.ts', 'stands alone'],
    ['src/database/x.ts', '../job/find.ts', 'stands alone'],
    ['src/database/tables/x.ts', '../../vault/vault.ts', 'stands alone'],
    ['src/job/x.ts', '../instance/find.ts', 'knows no domain noun'],
    ['src/job/runner/x.ts', '../../engine/dump.ts', 'knows no domain noun'],
    ['src/graphql/nouns/x.ts', '../../database/tables/job.ts', 'no table'],
    ['src/graphql/nouns/x.ts', '../../job/enqueue.ts', 'graphql translates'],
    ['src/graphql/nouns/x.ts', '../../worker/handlers.ts', 'graphql translates'],
    ['src/worker/x.ts', '../database/tables/job.ts', 'Database type alone'],
    ['src/worker/x.ts', '../graphql/context.ts', 'Database type alone'],
    ['src/instance/x.ts', '../vault/create.ts', 'only <noun>.ts and find.ts'],
    ['src/instance/x.ts', '../engine/dump.ts', 'only <noun>.ts and find.ts'],
    ['src/vault/x.ts', '../job/handler.ts', 'only <noun>.ts and find.ts'],
    ['src/demo/x.ts', '../vault/create.ts', 'through its API'],
    ['src/recover/x.ts', '../worker/handlers.ts', 'no work of a service'],
    ['src/recover/x.ts', '../instance/find.ts', 'no work of a service'],
  ] as const)('keeps %s from importing %s', async ([path, specifier, reason], { folder }) => {
    const text = await lint(folder, path, `import { something } from '${specifier}'\n\nexport const x = something\n`)
    expect(text).toContain('noRestrictedImports')
    expect(text).toContain(reason)
    expect(text).toContain('Found 1 error')
  })

  it.for([
    ['src/instance/x.ts', '../vault/find.ts'],
    ['src/instance/x.ts', '../vault/vault.ts'],
    ['src/instance/x.ts', '../policy/shortening.ts'],
    ['src/instance/x.ts', '../audit/record.ts'],
    ['src/instance/x.ts', '../job/enqueue.ts'],
    ['src/worker/x.ts', '../engine/dump.ts'],
    ['src/graphql/nouns/x.ts', '../../instance/back-up-now.ts'],
    ['src/database/x.ts', '../cluster/start.ts'],
    ['src/recover/x.ts', '../database/copy/in.ts'],
    ['src/recover/x.ts', '../storage/open.ts'],
  ] as const)('lets %s import %s', async ([path, specifier], { folder }) => {
    const text = await lint(folder, path, `import { something } from '${specifier}'\n\nexport const x = something\n`)
    expect(text).not.toContain('noRestrictedImports')
    expect(text).toContain('Checked 1 file')
  })

  it('lets nobody but the settings read the environment', async ({ folder }) => {
    const text = await lint(folder, 'src/instance/x.ts', "export const home = process.env['HOME']\n")
    expect(text).toContain('noProcessEnv')
  })
})
