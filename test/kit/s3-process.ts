import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { S3Location } from '../../src/storage/s3/location.ts'
import { startS3Server } from './s3-server.ts'

/** A store in a process of its own, so that its memory is not counted; it keeps no bytes, only how many there were. */
export async function startS3Process(): Promise<{ location: S3Location } & AsyncDisposable> {
  const child = fork(fileURLToPath(import.meta.url), ['serve'])
  const [location] = await once(child, 'message')
  return {
    // The process sends nothing else.
    location: location as S3Location,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

if (process.argv[2] === 'serve' && process.send) {
  const server = await startS3Server()
  server.store.keepsBytes = false
  process.send(server.location())
}
