import type { postgresServers } from '../database/tables/server.ts'

/** A registered PostgreSQL server: where it is and how to sign in to it. */
export type PostgresServer = typeof postgresServers.$inferSelect
