import { expect } from 'vitest'
import { openSecretBox } from '../src/secret/secret-box.ts'
import { checkKeyFile, WrongKeyFile } from '../src/vault/check-key.ts'
import { addVault } from './kit/protected-server.ts'
import { test } from './kit/test.ts'

test('a key file that was lost and made anew is refused before anything is sealed with it', async ({
  database,
  folder,
}) => {
  const first = await openSecretBox(`${folder}/first.key`)
  await checkKeyFile(database, { secrets: first, keyFile: 'first.key' })
  await addVault({ database, secrets: first }, folder)
  await checkKeyFile(database, { secrets: first, keyFile: 'first.key' })
  const anew = await openSecretBox(`${folder}/anew.key`)
  await expect(checkKeyFile(database, { secrets: anew, keyFile: 'anew.key' })).rejects.toBeInstanceOf(WrongKeyFile)
})
