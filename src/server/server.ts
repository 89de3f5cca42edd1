import type { postgresServers } from '../database/tables/server.ts'
import { Refusal } from '../refusal.ts'

/** A registered PostgreSQL server: where it is and how to sign in to it. */
export type PostgresServer = typeof postgresServers.$inferSelect

/** It is not known how to sign in to the server: it comes from an imported vault, which holds no credentials. */
export class ServerWithoutCredentials extends Refusal {
  readonly serverId: string

  constructor({ id, name }: PostgresServer) {
    super(
      `Holdfast does not know how to sign in to server "${name}": it was imported, and a vault holds no credentials.`,
      ['Set its role and password with updateServerCredentials, and how it is connected to, should that differ.'],
    )
    this.serverId = id
  }
}

/** Refuses a server that cannot be signed in to before credentials are set. */
export function requireCredentials(server: PostgresServer): void {
  if (server.username === null || server.sealedPassword === null) throw new ServerWithoutCredentials(server)
}
