import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

/** The shell blocks of a Markdown text, in order. */
export function shellBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block ?? '')
}

/** Pastes lines into one shell; answers its output, and throws with it when the shell fails. */
export async function paste(blocks: readonly string[], environment: Record<string, string>): Promise<string> {
  const shell = spawn('sh', ['-s'], { env: environment, stdio: ['pipe', 'pipe', 'pipe'] })
  shell.stdin.end(blocks.join('\n'))
  const [output, errors] = await Promise.all([text(shell.stdout), text(shell.stderr)])
  return `${output}\n${errors}`
}
