import { s3Storage } from '../src/storage/s3.ts'
import { startS3Server } from './kit/s3-server.ts'
import { describeStorage } from './kit/storage-contract.ts'

describeStorage('bucket', async () => {
  const server = await startS3Server()
  server.store.pageSize = 3
  return {
    storage: s3Storage(server.location()),
    everything: async () => server.everything(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
})

describeStorage('folder of a bucket', async () => {
  const server = await startS3Server()
  const prefix = 'holdfast/main/'
  return {
    storage: s3Storage(server.location({ prefix })),
    everything: async () => server.everything().map((key) => key.slice(prefix.length)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
})
