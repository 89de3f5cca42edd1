import type { Database } from '../database/connect.ts'
import type { Listener } from '../database/listen.ts'
import type { RetentionLimits } from '../policy/check-rules.ts'

/** Who is asking. */
export interface Principal {
  /** `local` where no token is asked for, `api-token` where the caller showed it. */
  name: string
}

/** Seals what is to be kept secret, and opens it again. */
export interface Secrets {
  seal(plain: string): string
  open(sealed: string): string
}

/** What the API's resolvers work with, the same for every request. */
export interface Services {
  database: Database
  listener: Listener
  secrets: Secrets
  now: () => Date
  /** How long a recovery point that was chosen for removal is left before its bytes go, ms. */
  removalGraceMs: number
  /** For how long policies may keep recovery points. */
  retentionLimits: RetentionLimits
  /** What the operator of the service allows of notification channels. */
  channelRules: { allowHttp: boolean; canMail: boolean }
  /** How old the newest copy of the metadata in a vault may become, ms. */
  metadataBackupMs: number
}

/** What one operation (or one event of a subscription) is executed with; loaders live as long as it does. */
export interface GraphqlContext extends Services {
  principal: Principal
  /** In every masked error and in the log beside its cause. */
  requestId: string
}
