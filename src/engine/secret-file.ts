import { type FileHandle, mkdtemp, open, rmdir, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EngineError } from './engine-error.ts'

/**
 * Opens a file that holds a text and that no other process can find: it has lost its name before the text is written,
 * so nothing is left behind, however this process ends. Only a child that is handed the descriptor can read it.
 * The caller closes it. Throws TOOL_FAILED when the machine's temporary folder takes no file.
 */
export async function openSecretFile(text: string): Promise<FileHandle> {
  try {
    return await writeNameless(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new EngineError('TOOL_FAILED', `A file could not be written in ${tmpdir()}.`, reason, { cause })
  }
}

async function writeNameless(text: string): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-'))
  const path = join(folder, 'secret')
  const file = await open(path, 'wx+', 0o600)
  try {
    await unlink(path)
    await rmdir(folder)
    await file.writeFile(text)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}
