import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Node and Vite would pick different files of this package, and its classes recognise only their own instances.
  resolve: { alias: [{ find: /^graphql$/, replacement: fileURLToPath(import.meta.resolve('graphql')) }] },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 45_000,
    // Some stories wait to see a process that lives for a blink: on a starved machine they are told once more, and the report says so.
    retry: 1,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
})
